using System.Numerics.Tensors;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Tests.Models;

/// <summary>How an exporter writes a linear layer.</summary>
internal enum OnnxLinear
{
    /// <summary>A matrix without a name, [inputs, outputs], and the bias behind its product.</summary>
    Anonymous,

    /// <summary>The same with the bias first, as the first of two operands.</summary>
    AnonymousBiasFirst,

    /// <summary>The matrix under its name, turned by a node before the product.</summary>
    TransposeNode,

    /// <summary>The matrix under its name, [outputs, inputs], in a <c>Gemm</c> that turns it.</summary>
    Gemm,

    /// <summary>A matrix without a name in a <c>Gemm</c> that does not turn it.</summary>
    AnonymousGemm,

    /// <summary>The matrix under its name, but [inputs, outputs], and the bias without one; product and bias are converted.</summary>
    TurnedUnderItsName,

    /// <summary>Matrix and bias under other tensors' names, from which nodes give them their own.</summary>
    Identity,

    /// <summary>Constants of nodes.</summary>
    ConstantNode,
}

/// <summary>Writes the linear layers of a checkpoint as an ONNX model.</summary>
internal static class OnnxCheckpoint
{
    private const int Opset = 17;

    /// <param name="tensors">
    /// Those of the Hub: matrices are [outputs, inputs], their names end with <c>weight</c>, with a <c>bias</c> or without.
    /// </param>
    /// <param name="form">How they are written; matrices without a bias keep their names, or could not be told.</param>
    public static byte[] Write<T>(Dictionary<string, Tensor<T>> tensors, OnnxLinear form)
        where T : unmanaged
    {
        var model = new OnnxModel();
        int count = 0;
        foreach ((string name, Tensor<T> tensor) in tensors)
        {
            if (tensor.Rank == 2)
            {
                string layer = name[..^"weight".Length];
                nint inputs = tensor.Lengths[1];
                string input = model.AddInput<T>($"input.{count}", [1, inputs]);
                Tensor<T>? bias = tensors.GetValueOrDefault(layer + "bias");
                Linear(model, bias is null ? OnnxLinear.TransposeNode : form, layer, $"{++count}", input, tensor, bias);
            }
            else if (!name.EndsWith("bias", StringComparison.Ordinal) || !tensors.ContainsKey(name[..^"bias".Length] + "weight"))
            {
                Constant(model, name, tensor);
            }
        }

        return model.Build(Opset, $"{count}.output");
    }

    private static void Linear<T>(
        OnnxModel model, OnnxLinear form, string layer, string number, string input, Tensor<T> weight, Tensor<T>? bias)
        where T : unmanaged
    {
        (string weightName, string biasName, string product, string output) =
            ($"{layer}weight", $"{layer}bias", $"{number}.product", $"{number}.output");
        Tensor<T> Turned() => Tensor.Transpose(weight).ToDenseTensor();
        switch (form)
        {
            case OnnxLinear.Anonymous or OnnxLinear.AnonymousBiasFirst:
                model.AddNode("MatMul", [input, Constant(model, number, Turned())], [product]);
                string added = Constant(model, biasName, bias!);
                model.AddNode("Add", form == OnnxLinear.Anonymous ? [product, added] : [added, product], [output]);
                break;
            case OnnxLinear.TransposeNode:
                model.AddNode("Transpose", [Constant(model, weightName, weight)], [$"{number}.turned"], ("perm", (int[])[1, 0]));
                model.AddNode("MatMul", [input, $"{number}.turned"], [product]);
                model.AddNode("Add", [product, bias is null ? product : Constant(model, biasName, bias)], [output]);
                break;
            case OnnxLinear.Gemm:
                model.AddNode(
                    "Gemm", [input, Constant(model, weightName, weight), Constant(model, biasName, bias!)], [output],
                    ("alpha", 1f), ("beta", 1f), ("transB", 1));
                break;
            case OnnxLinear.AnonymousGemm:
                model.AddNode("Gemm", [input, Constant(model, number, Turned()), Constant(model, biasName, bias!)], [output]);
                break;
            case OnnxLinear.TurnedUnderItsName:
                model.AddNode("MatMul", [input, Constant(model, weightName, Turned())], [product]);
                model.AddNode("Cast", [product], [$"{number}.cast"], ("to", 1));
                model.AddNode("Cast", [Constant(model, number, bias!)], [$"{number}.bias.cast"], ("to", 1));
                model.AddNode("Add", [$"{number}.cast", $"{number}.bias.cast"], [output]);
                break;
            case OnnxLinear.Identity:
                model.AddNode("Identity", [Constant(model, $"other.{number}.weight", weight)], [weightName]);
                model.AddNode("Identity", [Constant(model, $"other.{number}.bias", bias!)], [biasName]);
                model.AddNode("Gemm", [input, weightName, biasName], [output], ("transB", 1));
                break;
            default:
                model.AddNode("Constant", [], [biasName], ("value", OnnxModel.StoredTensor("", Data.Flat(bias!), bias!.Lengths)));
                model.AddNode("Constant", [], [number], ("value", OnnxModel.StoredTensor("", Data.Flat(Turned()), Turned().Lengths)));
                model.AddNode("MatMul", [input, number], [product]);
                model.AddNode("Add", [product, biasName], [output]);
                break;
        }
    }

    private static string Constant<T>(OnnxModel model, string name, Tensor<T> tensor)
        where T : unmanaged => model.AddConstant(name, Data.Flat(tensor), tensor.Lengths);
}
