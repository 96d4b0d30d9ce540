namespace AttentionGpu.KeyValueCaches;

/// <summary>
/// The numbers of pages: which are free, and how many sequences hold each. Pages that have been free longest are not preferred: the one
/// that was freed last is likely to be in the caches still.
/// </summary>
internal sealed class PagePool
{
    private readonly int[] _holders;
    private readonly int[] _free;
    private int _freeCount;

    public PagePool(int pages)
    {
        _holders = new int[pages];
        _free = new int[pages];
        Reset();
    }

    /// <summary>Pages in all.</summary>
    public int Count => _holders.Length;

    /// <summary>Pages that nobody holds.</summary>
    public int FreeCount => _freeCount;

    /// <summary>Whether more than one sequence holds a page.</summary>
    public bool IsShared(int page) => _holders[page] > 1;

    /// <summary>A free page, with one holder. There must be one.</summary>
    public int Take()
    {
        int page = _free[--_freeCount];
        _holders[page] = 1;
        return page;
    }

    /// <summary>One more holder of a page.</summary>
    public void Share(int page) => _holders[page]++;

    /// <summary>One holder less; without any the page is free.</summary>
    public void Release(int page)
    {
        if (--_holders[page] == 0)
            _free[_freeCount++] = page;
    }

    /// <summary>Gives the pages new numbers, all at once: page p becomes <paramref name="numbers"/>[p].</summary>
    public void Renumber(ReadOnlySpan<int> numbers)
    {
        int[] holders = (int[])_holders.Clone();
        for (int page = 0; page < holders.Length; page++)
            _holders[numbers[page]] = holders[page];
        Reset();
    }

    // The lowest free pages are taken first.
    private void Reset()
    {
        _freeCount = 0;
        for (int page = _holders.Length - 1; page >= 0; page--)
        {
            if (_holders[page] == 0)
                _free[_freeCount++] = page;
        }
    }
}
