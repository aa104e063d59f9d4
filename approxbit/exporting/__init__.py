"""What a host makes for a device: graph-safe views, ONNX graphs, the gate they pass, and their packing."""
