using System.Runtime.Intrinsics.X86;

namespace AttentionGpu.Backends.Simd.Memory;

/// <summary>The size of a core's own second cache: what blocks of keys, of rows and of depth are cut to.</summary>
internal static class Caches
{
    // Where the processor does not say: what nearly all have at least.
    private const int UsualLevel2 = 512 << 10;

    /// <summary>The second level, in bytes.</summary>
    public static int Level2 { get; } = FromList() ?? FromAmd() ?? UsualLevel2;

    // Leaf 4 describes one cache for each subleaf; type 0 ends the list, type 2 is for instructions.
    private static int? FromList()
    {
        const int leaf = 4;
        const int level = 2;
        if (!X86Base.IsSupported || X86Base.CpuId(0, 0).Eax < leaf)
            return null;
        for (int index = 0; ; index++)
        {
            (int eax, int ebx, int ecx, _) = X86Base.CpuId(leaf, index);
            int type = eax & 0x1f;
            if (type == 0)
                return null;
            if (type == 2 || ((eax >> 5) & 7) != level)
                continue;
            int ways = (int)((uint)ebx >> 22) + 1;
            int partitions = ((ebx >> 12) & 0x3ff) + 1;
            int line = (ebx & 0xfff) + 1;
            return ways * partitions * line * (ecx + 1);
        }
    }

    // AMD's older leaf has the size in KiB in the upper half of ECX.
    private static int? FromAmd()
    {
        const uint leaf = 0x80000006;
        const int shift = 16;
        if (!X86Base.IsSupported || (uint)X86Base.CpuId(unchecked((int)0x80000000), 0).Eax < leaf)
            return null;
        int kilobytes = (int)((uint)X86Base.CpuId(unchecked((int)leaf), 0).Ecx >> shift);
        return kilobytes == 0 ? null : kilobytes << 10;
    }
}
