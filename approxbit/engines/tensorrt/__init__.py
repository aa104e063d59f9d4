"""TensorRT 8.5 to 11.4 on a device: build an engine, check it against the reference, run it.

`cuda` is the memory and the stream, `session` runs an engine, `network` and `build` make one of an ONNX file,
`store` keeps it, `check` compares it with the reference, `trtexec` says the same as a command line.
Everything here needs numpy, TensorRT's Python API and CUDA's run-time library, and nothing else.

Names for TensorRT's objects are the same everywhere (`builder`, `network`, `config`, `parser`, `runtime`,
`engine`, `context`, `layer`, ...): a test looks up all that is asked of them in the genuine bindings.
"""
