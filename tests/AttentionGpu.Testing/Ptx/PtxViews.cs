using System.Runtime.InteropServices;
using AttentionGpu.Kernels.Common.Layouts;

namespace AttentionGpu.Kernels.Tests.Ptx;

/// <summary>A view as a CUDA device sees it: an address and a length.</summary>
[StructLayout(LayoutKind.Sequential)]
internal readonly struct PtxView(ulong address)
{
    private readonly ulong _address = address;
    private readonly long _length = long.MaxValue;
}

/// <summary>Rows of an element type as a CUDA device sees them.</summary>
[StructLayout(LayoutKind.Sequential)]
internal readonly struct PtxContiguousRows(PtxView elements, RowLayout layout)
{
    private readonly PtxView _elements = elements;
    private readonly RowLayout _layout = layout;
}

/// <summary>Rows of an element a byte as a CUDA device sees them.</summary>
[StructLayout(LayoutKind.Sequential)]
internal readonly struct PtxByteRows(PtxView elements, PtxView scales, RowLayout layout, long rowBytes)
{
    private readonly PtxView _elements = elements;
    private readonly PtxView _scales = scales;
    private readonly RowLayout _layout = layout;
    private readonly long _rowBytes = rowBytes;
}

/// <summary>Rows of two elements a byte as a CUDA device sees them.</summary>
[StructLayout(LayoutKind.Sequential)]
internal readonly struct PtxInt4Rows(PtxView elements, PtxView scales, RowLayout layout, int rowBytes, int groups)
{
    private readonly PtxView _elements = elements;
    private readonly PtxView _scales = scales;
    private readonly RowLayout _layout = layout;
    private readonly int _rowBytes = rowBytes;
    private readonly int _groups = groups;
}
