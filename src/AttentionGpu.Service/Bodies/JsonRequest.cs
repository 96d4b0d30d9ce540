using AttentionGpu.Hosting;
using AttentionGpu.Service.Guards;

namespace AttentionGpu.Service;

/// <summary>
/// What a JSON body asks for, as its parser fills it in: rows of numbers, one behind the other in one array, and the other members.
/// </summary>
/// <param name="service">The layers.</param>
/// <param name="limits">The most tokens.</param>
/// <param name="lease">What the array is charged to.</param>
/// <param name="query">What the request's query tells.</param>
internal sealed class JsonRequest(IAttentionService service, ServiceLimits limits, MemoryLease lease, RequestQuery query) : IDisposable
{
    private const int FirstLength = 4096;

    private RequestArray<float> _values = new(lease, 0);
    private int _count;
    private int _rowStart;
    private int _rowLimit;
    private int _rowSize;

    /// <summary>The layer, once it is known.</summary>
    public IAttentionLayer? Layer { get; private set; } =
        query.Layer is not null || service.Layers.Count == 1 ? AttentionEndpoints.Find(service, query.Layer) : null;

    /// <summary>Null where the body does not tell.</summary>
    public bool? Causal { get; set; }

    public bool Weights { get; set; }

    /// <summary>Rows that were read.</summary>
    public int Tokens { get; private set; }

    /// <summary>The numbers of all rows.</summary>
    public Memory<float> Values => _values.Memory[.._count];

    public void SetLayer(string? name) => Layer = AttentionEndpoints.Find(service, query.Join(name, causal: null).Layer);

    /// <summary>A further row starts.</summary>
    public void StartRow()
    {
        Tokens++;
        AttentionEndpoints.RequireTokens(Tokens, limits.MaxTokens);
        _rowStart = _count;

        // The first row of a layer that is not known yet may have as many numbers as the largest layer takes.
        _rowLimit = Layer?.Config.EmbeddingSize
            ?? (Tokens > 1 ? _rowSize : service.Layers.Values.Max(layer => layer.Config.EmbeddingSize));
    }

    /// <summary>A number of the row.</summary>
    public void Add(float number)
    {
        if (_count - _rowStart == _rowLimit)
            throw WrongRow("more");
        if (_count == _values.Memory.Length)
            Expand();
        _values.Memory.Span[_count++] = number;
    }

    /// <summary>The row has ended.</summary>
    public void EndRow()
    {
        int size = _count - _rowStart;
        if (Tokens == 1)
            _rowSize = size;
        if (size != (Layer?.Config.EmbeddingSize ?? _rowSize))
            throw WrongRow($"{size}");
    }

    /// <summary>All was read: what could not be checked before is checked.</summary>
    public void Complete()
    {
        Layer ??= AttentionEndpoints.Find(service, null);
        if (Tokens > 0 && _rowSize != Layer.Config.EmbeddingSize)
        {
            Tokens = 1;
            throw WrongRow($"{_rowSize}");
        }
    }

    public void Dispose()
    {
        _values.Dispose();
        _count = 0;
    }

    private ArgumentException WrongRow(string had) => new(
        Layer is not null
            ? $"Row {Tokens - 1} of 'input' must have {Layer.Config.EmbeddingSize} numbers, the embedding size of '{Layer.Name}'; it has {had}."
            : $"Row {Tokens - 1} of 'input' must have as many numbers as row 0, the embedding size of the layer; it has {had}.");

    private void Expand()
    {
        var larger = new RequestArray<float>(lease, Math.Max(FirstLength, checked(2 * _values.Memory.Length)));
        Values.CopyTo(larger.Memory);
        _values.Dispose();
        _values = larger;
    }
}
