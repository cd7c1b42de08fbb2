using System.Text.Json;
using Atoll.Api.Objects;

namespace Atoll.Kube.Tables;

/// <summary>meta.k8s.io/v1 Table: the columns that kubectl get shows, as Kubernetes' own printers make them.</summary>
public static class TablePrinter
{
    /// <summary>Writes the value of <c>columnDefinitions</c> (an array).</summary>
    public static void WriteColumns(ResourceType type, Utf8JsonWriter writer)
    {
        ArgumentNullException.ThrowIfNull(writer);
        writer.WriteStartArray();
        writer.WriteEndArray();
    }

    /// <summary>Writes the value of a row's <c>cells</c> (an array). Ages are relative to <paramref name="now"/>.</summary>
    public static void WriteCells(ResourceType type, KubeObject value, DateTimeOffset now, Utf8JsonWriter writer)
    {
        ArgumentNullException.ThrowIfNull(writer);
        writer.WriteStartArray();
        writer.WriteEndArray();
    }
}
