using System.Security.Cryptography;
using System.Text;
using Atoll.Cloud.Certificates;
using Atoll.Kube.Access;

namespace Atoll.Cloud.Server;

/// <summary>
/// Bearer tokens of people and programs: a file in Kubernetes' static token format (<c>token,user,uid,"group,group"</c>), made
/// with one administrator's token at the first start and read again when it changes. Tokens are compared by hash.
/// </summary>
internal sealed class AccessTokens
{
    private const int MaxBytes = 1 << 20;

    private readonly string _path;
    private readonly Lock _lock = new();
    private DateTime _read;
    private Dictionary<string, Identity> _byHash = [];

    public AccessTokens(string folder)
    {
        _path = Path.Combine(folder, "tokens.csv");
        if (!File.Exists(_path))
            CertificateAuthority.WriteFile(_path, $"{Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(32))},admin,admin,\"{Identity.Masters}\"\n", secret: true);
    }

    /// <summary>The identity of a token, or null.</summary>
    public Identity? Find(string token)
    {
        lock (_lock)
        {
            var info = new FileInfo(_path);
            if (info.Exists && info.LastWriteTimeUtc != _read && info.Length <= MaxBytes)
            {
                _byHash = File.ReadLines(_path).Select(Parse).OfType<(string, Identity)>().GroupBy(p => p.Item1).ToDictionary(g => g.Key, g => g.First().Item2);
                _read = info.LastWriteTimeUtc;
            }
            return _byHash.GetValueOrDefault(Hash(token));
        }
    }

    private static (string, Identity)? Parse(string line)
    {
        string[] parts = line.Split(',', 4);
        return parts.Length < 3 || parts[0].Length < 16 || parts[1].Length == 0
            ? null
            : (Hash(parts[0]), new Identity(parts[1], [.. (parts.Length > 3 ? parts[3].Trim('"') : "").Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries), "system:authenticated"]));
    }

    private static string Hash(string token) => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(token)));
}
