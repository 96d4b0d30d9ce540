using System.Numerics.Tensors;

namespace AttentionGpu.Tensors;

/// <summary>Makes tensors in host memory for what is returned.</summary>
internal static class HostTensor
{
    /// <summary>Requires that a host tensor can have a shape. The framework's own exceptions do not tell it.</summary>
    /// <param name="lengths">The shape.</param>
    /// <param name="what">What the tensor is.</param>
    /// <param name="name">The argument that the shape comes from.</param>
    /// <exception cref="ArgumentException">It has more elements than an array can have, or so many that their number overflows.</exception>
    public static void RequireShape(ReadOnlySpan<nint> lengths, string what, string name)
    {
        // One without elements has strides, which overflow if the product of its other lengths does.
        double most = lengths.Contains(0) ? long.MaxValue / 2 : Array.MaxLength;
        double elements = 1.0;
        foreach (nint length in lengths)
            elements *= Math.Max(length, 1);
        if (elements > most)
        {
            throw BadInput.Because(
                name, $"{what} would be {ShapeRules.Format(lengths)}; a tensor in host memory has at most {Array.MaxLength} elements.");
        }
    }

    /// <summary>A tensor whose contents are undefined, to be returned.</summary>
    /// <inheritdoc cref="RequireShape" path="/exception"/>
    public static Tensor<T> CreateOutput<T>(ReadOnlySpan<nint> lengths, string name)
    {
        RequireShape(lengths, "The output", name);
        return Tensor.CreateFromShapeUninitialized<T>(lengths);
    }
}
