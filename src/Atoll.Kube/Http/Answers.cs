using System.Buffers;
using System.Globalization;
using System.IO.Compression;
using System.IO.Pipelines;
using System.Text.Json;
using Atoll.Api;
using Atoll.Api.Objects;
using Atoll.Kube.Resources;
using Atoll.Kube.Tables;
using Atoll.Kube.Watch;
using Microsoft.AspNetCore.Http;

namespace Atoll.Kube.Http;

/// <summary>Writes answers: statuses, objects and lists, whole, as tables or as metadata alone; large ones compressed when the client agrees.</summary>
internal static class Answers
{
    private const int CompressAboveBytes = 128 * 1024, FlushBytes = 64 * 1024;

    /// <summary>Writes a Status with its code.</summary>
    public static Task StatusAsync(HttpContext context, ApiStatus status)
    {
        context.Response.StatusCode = status.Code;
        if (status.Details?.RetryAfterSeconds is { } seconds)
            context.Response.Headers.RetryAfter = seconds.ToString(CultureInfo.InvariantCulture);
        return JsonAsync(context, JsonSerializer.SerializeToUtf8Bytes(status, ApiJson.Default.ApiStatus));
    }

    /// <summary>Writes a document as it is.</summary>
    public static async Task JsonAsync(HttpContext context, ReadOnlyMemory<byte> json, string contentType = "application/json")
    {
        HttpResponse response = context.Response;
        response.ContentType = contentType;
        if (!response.Headers.ContainsKey("Cache-Control"))
            response.Headers.CacheControl = "no-cache, private";
        if (json.Length <= CompressAboveBytes || !Compresses(context))
        {
            response.ContentLength = json.Length;
            await response.Body.WriteAsync(json, context.RequestAborted).ConfigureAwait(false);
            return;
        }
        await using GZipStream gzip = Compressed(context);
        await gzip.WriteAsync(json, context.RequestAborted).ConfigureAwait(false);
    }

    /// <summary>Writes one object in the form that the client asked for.</summary>
    public static Task ObjectAsync(HttpContext context, ResourceType type, KubeObject value, Accepts accepts, DateTimeOffset now, int code)
    {
        context.Response.StatusCode = code;
        if (accepts.Form == ObjectForm.Whole)
            return JsonAsync(context, value.Utf8);
        var buffer = new ArrayBufferWriter<byte>(4096);
        using (var writer = new Utf8JsonWriter(buffer, ApiJson.WriterOptions))
        {
            if (accepts.Form == ObjectForm.Metadata)
                WritePartial(writer, value.Utf8.Span, accepts);
            else
                WriteTable(writer, context, type, value, accepts, now, withColumns: true);
        }
        return JsonAsync(context, buffer.WrittenMemory);
    }

    /// <summary>A table of one row.</summary>
    public static void WriteTable(Utf8JsonWriter writer, HttpContext context, ResourceType type, KubeObject value, Accepts accepts, DateTimeOffset now, bool withColumns)
    {
        StartTable(writer, type, accepts, value.ResourceVersion, null, null, withColumns);
        WriteRow(writer, context, type, value, accepts, now);
        writer.WriteEndArray();
        writer.WriteEndObject();
    }

    /// <summary>Metadata alone.</summary>
    public static void WritePartial(Utf8JsonWriter writer, ReadOnlySpan<byte> document, Accepts accepts)
    {
        writer.WriteStartObject();
        writer.WriteString("kind"u8, "PartialObjectMetadata"u8);
        writer.WriteString("apiVersion"u8, "meta.k8s.io/" + accepts.FormVersion);
        writer.WritePropertyName("metadata"u8);
        writer.WriteRawValue(ObjectBytes.Slice(document, "metadata"), skipInputValidation: true);
        writer.WriteEndObject();
    }

    /// <summary>Starts a table up to the inside of its rows.</summary>
    public static void StartTable(Utf8JsonWriter writer, ResourceType type, Accepts accepts, string resourceVersion, string? next, long? remaining, bool withColumns)
    {
        writer.WriteStartObject();
        writer.WriteString("kind"u8, "Table"u8);
        writer.WriteString("apiVersion"u8, "meta.k8s.io/" + accepts.FormVersion);
        WriteListMeta(writer, resourceVersion, next, remaining);
        writer.WritePropertyName("columnDefinitions"u8);
        if (withColumns)
            TablePrinter.WriteColumns(type, writer);
        else
            writer.WriteNullValue();
        writer.WriteStartArray("rows"u8);
    }

    private static void WriteRow(Utf8JsonWriter writer, HttpContext context, ResourceType type, KubeObject value, Accepts accepts, DateTimeOffset now)
    {
        writer.WriteStartObject();
        writer.WritePropertyName("cells"u8);
        TablePrinter.WriteCells(type, value, now, writer);
        string? include = context.Request.Query["includeObject"];
        if (include != "None")
        {
            writer.WritePropertyName("object"u8);
            if (include == "Object")
                writer.WriteRawValue(value.Utf8.Span, skipInputValidation: true);
            else
                WritePartial(writer, value.Utf8.Span, accepts);
        }
        writer.WriteEndObject();
    }

    private static void WriteListMeta(Utf8JsonWriter writer, string resourceVersion, string? next, long? remaining)
    {
        writer.WriteStartObject("metadata"u8);
        writer.WriteString("resourceVersion"u8, resourceVersion);
        if (next is not null)
            writer.WriteString("continue"u8, next);
        if (remaining is { } count)
            writer.WriteNumber("remainingItemCount"u8, count);
        writer.WriteEndObject();
    }

    /// <summary>Writes a list in the form that the client asked for, as it is read: never the whole answer in memory.</summary>
    public static async Task ListAsync(HttpContext context, ResourceType type, CacheList list, Accepts accepts, DateTimeOffset now)
    {
        context.Response.ContentType = "application/json";
        context.Response.Headers.CacheControl = "no-cache, private";
        bool compress = list.Items.Sum(item => (long)item.Utf8.Length) > CompressAboveBytes && Compresses(context);
        GZipStream? gzip = compress ? Compressed(context) : null;
        PipeWriter output = gzip is null ? context.Response.BodyWriter : PipeWriter.Create(gzip);
        // Disposing the writer would write what is left of a broken answer.
        var writer = new Utf8JsonWriter(output, ApiJson.WriterOptions);
        StartList(writer, type, list, accepts);
        long sent = 0;
        foreach (CachedObject item in list.Items)
        {
            WriteItem(writer, context, type, item, accepts, now);
            // Pending alone is what is left in the newest piece of the output, a few thousand bytes at most.
            if (writer.BytesCommitted + writer.BytesPending - sent < FlushBytes)
                continue;
            writer.Flush();
            sent = writer.BytesCommitted;
            await output.FlushAsync(context.RequestAborted).ConfigureAwait(false);
        }
        writer.WriteEndArray();
        writer.WriteEndObject();
        await writer.DisposeAsync().ConfigureAwait(false);
        await output.FlushAsync(context.RequestAborted).ConfigureAwait(false);
        if (gzip is null)
            return;
        await output.CompleteAsync().ConfigureAwait(false);
        await gzip.DisposeAsync().ConfigureAwait(false);
    }

    private static void StartList(Utf8JsonWriter writer, ResourceType type, CacheList list, Accepts accepts)
    {
        string version = list.Revision.ToString(CultureInfo.InvariantCulture);
        if (accepts.Form == ObjectForm.Table)
        {
            StartTable(writer, type, accepts, version, list.Continue, list.Remaining, withColumns: true);
            return;
        }
        bool partial = accepts.Form == ObjectForm.Metadata;
        writer.WriteStartObject();
        writer.WriteString("kind"u8, partial ? "PartialObjectMetadataList" : type.Kind + "List");
        writer.WriteString("apiVersion"u8, partial ? "meta.k8s.io/" + accepts.FormVersion : type.ApiVersion);
        WriteListMeta(writer, version, list.Continue, list.Remaining);
        writer.WriteStartArray("items"u8);
    }

    private static void WriteItem(Utf8JsonWriter writer, HttpContext context, ResourceType type, CachedObject item, Accepts accepts, DateTimeOffset now)
    {
        switch (accepts.Form)
        {
            case ObjectForm.Table:
                WriteRow(writer, context, type, Forms.Present(type, item), accepts, now);
                break;
            case ObjectForm.Metadata:
                WritePartial(writer, item.Utf8.Span, accepts);
                break;
            default:
                writer.WriteRawValue(EventForms.ToServed(type, item.Utf8).Span, skipInputValidation: true);
                break;
        }
    }

    private static bool Compresses(HttpContext context) =>
        context.Request.Headers.AcceptEncoding.ToString().Contains("gzip", StringComparison.OrdinalIgnoreCase);

    private static GZipStream Compressed(HttpContext context)
    {
        context.Response.Headers.ContentEncoding = "gzip";
        context.Response.Headers.Vary = "Accept-Encoding";
        return new GZipStream(context.Response.Body, CompressionLevel.Fastest, leaveOpen: true);
    }
}
