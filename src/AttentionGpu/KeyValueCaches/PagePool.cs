namespace AttentionGpu.KeyValueCaches;

/// <summary>
/// The numbers of pages: which are free, and how many sequences hold each. A sequence's pages follow each other where that can be: pages
/// that lie in order are read as one run. Sequences that grow in turns begin in different groups of pages for that.
/// </summary>
internal sealed class PagePool
{
    private readonly int _groupPages;
    private readonly int[] _holders;
    private readonly int[] _takenOfGroup;
    private readonly NumberSet _free;
    private readonly NumberSet _freeGroups;

    /// <param name="pages">Pages in all.</param>
    /// <param name="groupPages">Pages of a group, in which a sequence begins alone where one is free.</param>
    public PagePool(int pages, int groupPages)
    {
        _groupPages = groupPages;
        _holders = new int[pages];
        _takenOfGroup = new int[(pages + groupPages - 1) / groupPages];
        _free = new NumberSet(pages);
        _freeGroups = new NumberSet(_takenOfGroup.Length);
        CountTaken();
    }

    /// <summary>Pages in all.</summary>
    public int Count => _holders.Length;

    /// <summary>Pages that nobody holds.</summary>
    public int FreeCount => _free.Count;

    /// <summary>Whether more than one sequence holds a page.</summary>
    public bool IsShared(int page) => _holders[page] > 1;

    /// <summary>A free page, with one holder: the next one, the first of a free group, or any. There must be one.</summary>
    /// <param name="previous">The page before it in its sequence; -1 for none.</param>
    public int Take(int previous)
    {
        int page = previous + 1;
        if (previous < 0 || page == _holders.Length || _holders[page] != 0)
            page = _freeGroups.Count > 0 ? _freeGroups.Last * _groupPages : _free.Last;
        _holders[page] = 1;
        _free.Remove(page);
        if (_takenOfGroup[page / _groupPages]++ == 0)
            _freeGroups.Remove(page / _groupPages);
        return page;
    }

    /// <summary>One more holder of a page.</summary>
    public void Share(int page) => _holders[page]++;

    /// <summary>One holder less; without any the page is free.</summary>
    public void Release(int page)
    {
        if (--_holders[page] != 0)
            return;
        _free.Add(page);
        if (--_takenOfGroup[page / _groupPages] == 0)
            _freeGroups.Add(page / _groupPages);
    }

    /// <summary>Gives the pages new numbers, all at once: page p becomes <paramref name="numbers"/>[p].</summary>
    public void Renumber(ReadOnlySpan<int> numbers)
    {
        int[] holders = (int[])_holders.Clone();
        for (int page = 0; page < holders.Length; page++)
            _holders[numbers[page]] = holders[page];
        CountTaken();
    }

    // The lowest are taken first.
    private void CountTaken()
    {
        _free.Clear();
        _freeGroups.Clear();
        Array.Clear(_takenOfGroup);
        for (int page = _holders.Length - 1; page >= 0; page--)
        {
            if (_holders[page] == 0)
                _free.Add(page);
            else
                _takenOfGroup[page / _groupPages]++;
        }

        for (int group = _takenOfGroup.Length - 1; group >= 0; group--)
        {
            if (_takenOfGroup[group] == 0)
                _freeGroups.Add(group);
        }
    }

    /// <summary>Some of the numbers from 0 on: all operations take the same time, however many they are.</summary>
    private sealed class NumberSet(int numbers)
    {
        private readonly int[] _members = new int[numbers];
        private readonly int[] _places = new int[numbers];

        public int Count { get; private set; }

        /// <summary>The one that was added last, unless one has been removed since. There must be one.</summary>
        public int Last => _members[Count - 1];

        public void Add(int number)
        {
            _places[number] = Count;
            _members[Count++] = number;
        }

        /// <summary>Removes a member; the last takes its place.</summary>
        public void Remove(int number)
        {
            int last = _members[--Count];
            _members[_places[number]] = last;
            _places[last] = _places[number];
        }

        public void Clear() => Count = 0;
    }
}
