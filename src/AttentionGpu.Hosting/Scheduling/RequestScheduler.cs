using System.Diagnostics;
using AttentionGpu.Hosting.Devices;
using AttentionGpu.Hosting.Diagnostics;

namespace AttentionGpu.Hosting.Scheduling;

/// <summary>
/// The one thread that empties a queue: requests of one layer that wait together run as a ragged batch. If a batch fails, each of its
/// requests is tried again alone, so that one request's failure is not another's. Whatever is thrown ends with the requests of its batch.
/// </summary>
internal sealed class RequestScheduler : IAsyncDisposable
{
    private readonly AttentionServiceOptions _options;
    private readonly RequestQueue _queue;
    private readonly ServiceDevices _devices;
    private readonly AttentionInstruments _instruments;
    private readonly BatchMemory _memory;
    private readonly ServiceLog _log;
    private readonly List<ForwardRequest> _batch;

    // Who waits for the end goes on on the thread that ends: the pool's may all be blocked by who waits.
    private readonly TaskCompletionSource _stopped = new();

    public RequestScheduler(
        AttentionServiceOptions options, RequestQueue queue, ServiceDevices devices, AttentionInstruments instruments, BatchMemory memory,
        ServiceLog log)
    {
        _options = options;
        _queue = queue;
        _devices = devices;
        _instruments = instruments;
        _memory = memory;
        _log = log;
        _batch = new List<ForwardRequest>(options.MaxBatchRequests);

        // Not one of the pool's: callers that block all of those would keep their own answers from coming.
        new Thread(Run) { IsBackground = true, Name = "AttentionGpu scheduler" }.UnsafeStart();
    }

    /// <summary>Runs work between two batches, before all requests that wait.</summary>
    public Task<T> InvokeAsync<T>(Func<T> work)
    {
        var queued = new QueuedWork<T>(work);
        try
        {
            _queue.Add(queued);
        }
        catch (ObjectDisposedException exception)
        {
            return Task.FromException<T>(exception);
        }

        return queued.Task;
    }

    /// <summary>Takes no more requests, and returns when those that wait have ended. A second caller waits too.</summary>
    public async ValueTask DisposeAsync()
    {
        _queue.Close(_options.Shutdown == AttentionShutdown.Refuse);
        await _stopped.Task.ConfigureAwait(false);
    }

    private void Run()
    {
        while (RunNext())
            _batch.Clear();
        _stopped.TrySetResult();
    }

    private bool RunNext()
    {
        try
        {
            if (!_queue.Take(_batch, out QueuedWork? work))
                return false;
            if (work is not null)
                work.Run();
            else if (_batch.Count > 0)
                RunBatch();
            else
                _devices.Engine.ReleaseUnusedMemory();
        }
        catch (Exception exception)
        {
            Abandon(exception);
        }

        return true;
    }

    private void RunBatch()
    {
        long start = Stopwatch.GetTimestamp();
        foreach (ForwardRequest request in _batch)
            _instruments.Waited(Stopwatch.GetElapsedTime(request.Arrived, start));
        if (_batch.Count == 1)
        {
            RunAlone(_batch[0]);
            return;
        }

        if (TryRun(_batch, out bool isOfDevice) is not { } exception)
            return;
        _log.Failed(exception, _devices.Engine.Device.Name, _batch.Count, isOfDevice);
        foreach (ForwardRequest request in _batch)
            RunAlone(request);
    }

    // A request that the device fails is served by the one that takes over.
    private void RunAlone(ForwardRequest request)
    {
        if (request.IsEnded)
            return;
        string device = _devices.Engine.Device.Name;
        Exception? exception = TryRun([request], out bool isOfDevice);
        if (exception is null)
            return;
        _log.Failed(exception, device, 1, isOfDevice);
        if (isOfDevice && _devices.TryFallBack())
        {
            device = _devices.Engine.Device.Name;
            exception = TryRun([request], out isOfDevice);
            if (exception is null)
                return;
            _log.Failed(exception, device, 1, isOfDevice);
        }

        if (exception is OutOfMemoryException)
            exception = new AttentionMemoryException(request.Bytes, _devices.Engine.MemoryInUse, exception);
        request.Fail(isOfDevice ? new AttentionDeviceException(device, exception) : exception, "failed");
    }

    private Exception? TryRun(List<ForwardRequest> requests, out bool isOfDevice)
    {
        isOfDevice = false;
        try
        {
            long start = Stopwatch.GetTimestamp();
            using ForwardBatch batch = requests[0].Join(requests, _memory);
            try
            {
                batch.Run();
            }
            catch (Exception exception)
            {
                isOfDevice = DeviceFailure.Is(exception);
                return exception;
            }

            batch.Complete();
            _instruments.Batch(batch.Count, batch.Bytes, Stopwatch.GetElapsedTime(start));
            return null;
        }
        catch (Exception exception)
        {
            return exception;
        }
    }

    // What is not expected, such as no memory for the smallest of things. The thread must live, and every task must end.
    private void Abandon(Exception exception)
    {
        foreach (ForwardRequest request in _batch)
        {
            try
            {
                request.Fail(exception, "failed");
            }
            catch (Exception)
            {
                // The request's task has ended all the same.
            }
        }

        _log.Abandoned(exception, _batch.Count);
    }
}
