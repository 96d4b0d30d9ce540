namespace AttentionGpu.Hosting.Devices;

/// <summary>An engine with the layers of a service, before the service uses it. Disposed unless it is used.</summary>
internal sealed class PreparedEngine : IDisposable
{
    private readonly Dictionary<AttentionLayer, MadeLayer> _layers = [];
    private bool _isUsed;

    /// <param name="engine">The engine, which is this object's from now on.</param>
    /// <param name="layers">The layers to make on it.</param>
    /// <param name="isChecked">Whether the engine must compute right.</param>
    /// <exception cref="InvalidOperationException">The engine computes something else than the reference.</exception>
    public PreparedEngine(AttentionEngine engine, IEnumerable<AttentionLayer> layers, bool isChecked)
    {
        Engine = engine;
        try
        {
            if (isChecked && !HealthProblem.IsRight(engine))
                throw new InvalidOperationException($"{engine.Device.Name} computes something else than the reference.");
            Add(layers);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    public AttentionEngine Engine { get; }

    /// <summary>Makes the layers that are not there yet.</summary>
    public void Add(IEnumerable<AttentionLayer> layers)
    {
        foreach (AttentionLayer layer in layers)
        {
            if (!_layers.ContainsKey(layer))
                _layers.Add(layer, layer.Make(Engine));
        }
    }

    /// <summary>Moves the layers to the engine; the caller has both from now on.</summary>
    /// <returns>The layers as they were before.</returns>
    public IReadOnlyList<MadeLayer> Use()
    {
        var before = new List<MadeLayer>(_layers.Count);
        _isUsed = true;
        foreach ((AttentionLayer layer, MadeLayer made) in _layers)
            before.Add(layer.Use(made));
        return before;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (_isUsed)
            return;
        try
        {
            foreach (MadeLayer layer in _layers.Values)
                layer.Dispose();
        }
        finally
        {
            Engine.Dispose();
        }
    }
}
