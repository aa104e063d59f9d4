"""What computes: one clip in, a code or logits out. Each engine is imported from its own file.

`runner` says what every engine promises and needs only numpy; `emulated` makes a machine slower than it is;
`prepared` names the exported artefacts of a family; `torch_runner` runs the modules as they were trained.
"""
