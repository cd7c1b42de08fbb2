using System.Buffers;
using System.Text.Json;
using Atoll.Api;
using Atoll.Api.Objects;
using Atoll.Api.Resources;
using Atoll.Kube.Resources;
using Atoll.Kube.Watch;
using Microsoft.AspNetCore.Http;

namespace Atoll.Kube.Http;

/// <summary>Streams a watch: one JSON document a line, flushed a batch at a time.</summary>
internal sealed class WatchAnswer(HttpContext context, ResourceType type, Accepts accepts, ApiServerOptions options)
{
    private const int MaxBatch = 256;

    private readonly ArrayBufferWriter<byte> _buffer = new(1024);
    private bool _columnsSent;

    /// <summary>Streams until the watch or the client ends.</summary>
    public async Task RunAsync(CacheWatcher watcher, bool bookmarks, TimeSpan time)
    {
        Start();
        var pump = new WatchPump(watcher, options, bookmarks, options.Time.GetUtcNow() + time);
        var batch = new List<WatchItem>();
        await context.Response.Body.FlushAsync(context.RequestAborted).ConfigureAwait(false);
        while (await pump.NextAsync(batch, MaxBatch, context.RequestAborted).ConfigureAwait(false))
        {
            _buffer.ResetWrittenCount();
            foreach (WatchItem item in batch)
                Write(item);
            await context.Response.Body.WriteAsync(_buffer.WrittenMemory, context.RequestAborted).ConfigureAwait(false);
            await context.Response.Body.FlushAsync(context.RequestAborted).ConfigureAwait(false);
        }
    }

    /// <summary>Answers with one ERROR event, as a watch from a compacted version does.</summary>
    public async Task FailAsync(ApiStatus error)
    {
        Start();
        Write(new WatchItem(WatchEventType.Error, null, 0, false, error));
        await context.Response.Body.WriteAsync(_buffer.WrittenMemory, context.RequestAborted).ConfigureAwait(false);
    }

    private void Start()
    {
        context.Response.ContentType = "application/json";
        context.Response.Headers.CacheControl = "no-cache, private";
    }

    private void Write(WatchItem item)
    {
        // A server that closes just ends the stream: the client comes again.
        if (item.Error is { Code: StatusCodes.Status503ServiceUnavailable })
            return;
        using (var writer = new Utf8JsonWriter(_buffer, ApiJson.WriterOptions))
        {
            writer.WriteStartObject();
            writer.WriteString("type"u8, Name(item.Type));
            writer.WritePropertyName("object"u8);
            if (item.Error is { } error)
                JsonSerializer.Serialize(writer, error, ApiJson.Default.ApiStatus);
            else if (item.Type == WatchEventType.Bookmark)
                WriteBookmark(writer, item);
            else
                WriteObject(writer, item.Object!);
            writer.WriteEndObject();
        }
        _buffer.Write("\n"u8);
    }

    private void WriteObject(Utf8JsonWriter writer, CachedObject value)
    {
        switch (accepts.Form)
        {
            case ObjectForm.Table:
                Answers.WriteTable(writer, context, type, Forms.Present(type, value), accepts, options.Time.GetUtcNow(), withColumns: !_columnsSent);
                _columnsSent = true;
                break;
            case ObjectForm.Metadata:
                Answers.WritePartial(writer, value.Utf8.Span, accepts);
                break;
            default:
                writer.WriteRawValue(EventForms.ToServed(type, value.Utf8).Span, skipInputValidation: true);
                break;
        }
    }

    private void WriteBookmark(Utf8JsonWriter writer, WatchItem item)
    {
        if (accepts.Form == ObjectForm.Table)
        {
            Answers.StartTable(writer, type, accepts, item.Revision.ToString(System.Globalization.CultureInfo.InvariantCulture), null, null, withColumns: false);
            writer.WriteEndArray();
            writer.WriteEndObject();
            return;
        }
        KubeObject bookmark = accepts.Form == ObjectForm.Metadata
            ? Bookmarks.Make("meta.k8s.io/" + accepts.FormVersion, "PartialObjectMetadata", item.Revision, item.InitialEnd)
            : Bookmarks.Make(type, item.Revision, item.InitialEnd);
        writer.WriteRawValue(bookmark.Utf8.Span, skipInputValidation: true);
    }

    private static ReadOnlySpan<byte> Name(WatchEventType type) => type switch
    {
        WatchEventType.Added => "ADDED"u8,
        WatchEventType.Modified => "MODIFIED"u8,
        WatchEventType.Deleted => "DELETED"u8,
        WatchEventType.Bookmark => "BOOKMARK"u8,
        _ => "ERROR"u8,
    };
}
