using AttentionGpu.Elements;
using AttentionGpu.Kernels.Common.Elements;
using AttentionGpu.Memory;

namespace AttentionGpu.Backends.Reference;

/// <summary>Single elements of a tensor in host memory, whatever their type.</summary>
internal readonly unsafe struct ElementAccess(DeviceMemory memory, ElementType type)
{
    public double this[long index]
    {
        get => type switch
        {
            ElementType.Float32 => memory.Pointer<float>()[index],
            ElementType.Float16 => (double)memory.Pointer<Half>()[index],
            ElementType.BFloat16 => memory.Pointer<BFloat16Element>()[index].ToSingle(),
            _ => throw ElementTypes.Unknown(type),
        };
        set
        {
            switch (type)
            {
                case ElementType.Float32:
                    memory.Pointer<float>()[index] = (float)value;
                    break;
                case ElementType.Float16:
                    memory.Pointer<Half>()[index] = (Half)value;
                    break;
                case ElementType.BFloat16:
                    memory.Pointer<BFloat16Element>()[index] = BFloat16Element.FromSingle((float)value);
                    break;
                default:
                    throw ElementTypes.Unknown(type);
            }
        }
    }
}
