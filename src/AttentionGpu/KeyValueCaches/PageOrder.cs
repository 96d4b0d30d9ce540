namespace AttentionGpu.KeyValueCaches;

/// <summary>The order in which pages lie best.</summary>
internal static class PageOrder
{
    /// <summary>
    /// New numbers by old ones: those of each sequence follow each other, shared pages at their first sequence, free pages last.
    /// </summary>
    public static int[] Sequential(ReadOnlySpan<KeyValueSequence?> sequences, int pages)
    {
        int[] numbers = new int[pages];
        Array.Fill(numbers, -1);
        int next = 0;
        foreach (KeyValueSequence? sequence in sequences)
        {
            foreach (int page in sequence is null ? [] : sequence.Pages)
            {
                if (numbers[page] < 0)
                    numbers[page] = next++;
            }
        }

        foreach (ref int number in numbers.AsSpan())
        {
            if (number < 0)
                number = next++;
        }

        return numbers;
    }
}
