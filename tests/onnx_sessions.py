"""Sessions of onnxruntime that several test modules use."""

import onnx
import onnxruntime


def session_of(model):
    """Return what runs a model, or the file of one, on one thread.

    By default there is one for each core, and each waits by turning.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    in_memory = isinstance(model, onnx.ModelProto)
    given = model.SerializeToString() if in_memory else model
    return onnxruntime.InferenceSession(given, options)
