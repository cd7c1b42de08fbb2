namespace Atoll.Api.Resources;

/// <summary>Loops that together are one thing, each of which runs until it is cancelled.</summary>
public static class Parts
{
    /// <summary>Ends when all have ended, or at once with the exception of the first that fails: the rest alone would look alive.</summary>
    public static async Task RunAsync(IEnumerable<Task> parts)
    {
        await foreach (Task part in Task.WhenEach(parts).ConfigureAwait(false))
            await part.ConfigureAwait(false);
    }
}
