namespace Atoll.Scheduling.Online;

/// <summary>
/// Scores of whole pages of rows, kept from plan to plan for the kinds of pods planned last. Pages are shared by copies until one of
/// them writes, so a page made of the same arrays as before has the same scores: a decision in a large fleet scores the pages that
/// changed since the last one. Safe to use from several threads: an entry is taken by one at a time.
/// </summary>
internal sealed class ScoreMemo
{
    private const int MostKinds = 4;

    private readonly Lock _lock = new();
    private readonly List<Entry> _kept = new(MostKinds + 1);

    /// <summary>Takes the entry of a kind, or a new one; <see cref="Return"/> gives it back.</summary>
    public Entry Take(in Kind kind)
    {
        lock (_lock)
            for (int i = _kept.Count - 1; i >= 0; i--)
                if (_kept[i].Of == kind)
                {
                    Entry found = _kept[i];
                    _kept.RemoveAt(i);
                    return found;
                }
        return new Entry(kind);
    }

    /// <summary>Keeps an entry, and forgets the one that was not used for longest where there are too many.</summary>
    public void Return(Entry entry)
    {
        lock (_lock)
        {
            _kept.Add(entry);
            if (_kept.Count > MostKinds)
                _kept.RemoveAt(0);
        }
    }

    /// <summary>All that a page's scores depend on beside its amounts.</summary>
    internal readonly record struct Kind(long Cpu, long Memory, long ScoredCpu, long ScoredMemory, int Fit, int Balance);

    /// <summary>The pages of one kind.</summary>
    internal sealed class Entry(Kind of)
    {
        private (AmountPage Amounts, int[]? Scores)[] _pages = [];

        public Kind Of { get; } = of;

        /// <summary>The scores of a page of these amounts, when they are known.</summary>
        public int[]? Find(int page, in AmountPage amounts) => page < _pages.Length && _pages[page].Scores is { } scores && _pages[page].Amounts.IsSame(amounts) ? scores : null;

        /// <summary>Keeps the scores of a page of amounts that are never written again.</summary>
        public void Put(int page, in AmountPage amounts, ReadOnlySpan<int> scores)
        {
            if (page >= _pages.Length)
                Array.Resize(ref _pages, page + 1 + (page >> 1));
            ref (AmountPage Amounts, int[]? Scores) kept = ref _pages[page];
            kept.Scores ??= new int[Column<long>.Size];
            kept.Amounts = amounts;
            scores.CopyTo(kept.Scores);
        }
    }
}
