"""What computes: one clip in, a code or logits out.

`graph` says what every engine promises: `onnx_graph` and `tensorrt` keep it, and torch does above this room.
`runner` has the three roles over any graph, `opening` makes them of an exported artefact, and `prepared`
names the exported artefacts of a family.
"""
