using System.Numerics.Tensors;
using AttentionGpu.Tests.Support;
using TorchSharp;

namespace AttentionGpu.Tests.Torch;

/// <summary>Layers on the reference against PyTorch's <c>nn.MultiheadAttention</c>: extra keys beside a mask and padding.</summary>
public class TorchLayerTests
{
    private const int Batch = 2;
    private const int Queries = 5;
    private const int Keys = 7;
    private const int Size = 12;
    private const int Heads = 3;

    [Theory]
    [InlineData(false, false)]
    [InlineData(true, false)]
    [InlineData(false, true)]
    [InlineData(true, true)]
    [Trait("library", "libtorch")]
    public void A_layer_agrees_with_multihead_attention(bool hasExtraKey, bool addsZeros)
    {
        Assert.SkipUnless(TorchLibrary.IsAvailable, "libtorch does not load on this system; tests/opencl-root has one where it does.");
        using DisposeScope scope = torch.NewDisposeScope();
        var random = new Random();
        using var module = torch.nn.MultiheadAttention(Size, Heads, bias: true, add_bias_kv: hasExtraKey, add_zero_attn: addsZeros);
        var parameters = new Dictionary<string, Tensor<float>>();
        using (torch.no_grad())
        {
            foreach ((string name, TorchSharp.Modules.Parameter parameter) in module.named_parameters())
            {
                Tensor<float> values = Data.Random(random, [.. parameter.shape.Select(length => (nint)length)]);
                parameters.Add(name, values);
                parameter.copy_(torch.tensor(Data.Flat(values), parameter.shape));
            }
        }

        Tensor<float> query = Data.Random(random, Queries, Batch, Size);
        Tensor<float> key = Data.Random(random, Keys, Batch, Size);
        Tensor<float> value = Data.Random(random, Keys, Batch, Size);
        Tensor<float> mask = Data.Random(random, Queries, Keys);
        Tensor<bool> padding = Data.RandomBoolean(random, 0.3, Batch, Keys);
        padding[0, 0] = padding[1, 0] = false;
        (torch.Tensor output, torch.Tensor weights) = module.forward(
            Torch(query), Torch(key), Torch(value), torch.tensor(Data.Flat(padding), [Batch, Keys]), need_weights: true,
            attn_mask: Torch(mask)).ToValueTuple();

        var config = new MultiHeadAttentionConfig { EmbeddingSize = Size, Heads = Heads, BatchFirst = false, AddZeroAttention = addsZeros };
        Tensor<float> Part(string name, int part) => Tensor.Create(
            Data.Flat(parameters[name]).Skip(part * Size * (name.EndsWith("weight", StringComparison.Ordinal) ? Size : 1))
                .Take(Size * (name.EndsWith("weight", StringComparison.Ordinal) ? Size : 1)).ToArray(),
            name.EndsWith("weight", StringComparison.Ordinal) ? [Size, Size] : [Size]);
        Tensor<float>? Extra(string name) => hasExtraKey ? Tensor.Create(Data.Flat(parameters[name]), [Size]) : null;
        using var layer = new MultiHeadAttention<float>(
            Engines.Reference,
            config,
            new MultiHeadAttentionWeights
            {
                Query = Part("in_proj_weight", 0),
                Key = Part("in_proj_weight", 1),
                Value = Part("in_proj_weight", 2),
                QueryBias = Part("in_proj_bias", 0),
                KeyBias = Part("in_proj_bias", 1),
                ValueBias = Part("in_proj_bias", 2),
                Output = parameters["out_proj.weight"],
                OutputBias = parameters["out_proj.bias"],
                ExtraKey = Extra("bias_k"),
                ExtraValue = Extra("bias_v"),
            });
        int columns = Keys + layer.ExtraKeys;
        Tensor<float> actual = Data.Poisoned(Queries, Batch, Size);
        Tensor<float> actualWeights = Data.Poisoned(Batch, Queries, columns);
        layer.Forward(
            new MultiHeadAttentionInputs<float> { Query = query, Key = key, Value = value, Mask = mask, KeyPaddingMask = padding },
            new MultiHeadAttentionOutputs<float> { Output = actual, Weights = actualWeights, AverageWeights = true });

        // PyTorch computes in float32 here.
        Close.Assert(Back(output, Queries, Batch, Size), actual, "output");
        Close.Assert(Back(weights, Batch, Queries, columns), actualWeights, "weights");
    }

    private static torch.Tensor Torch(Tensor<float> tensor) =>
        torch.tensor(Data.Flat(tensor), [.. tensor.Lengths.ToArray().Select(length => (long)length)]);

    private static Tensor<float> Back(torch.Tensor tensor, params nint[] lengths)
    {
        Assert.Equal(lengths, tensor.shape.Select(length => (nint)length));
        return Tensor.Create(tensor.contiguous().data<float>().ToArray(), lengths);
    }
}
