"""The story: a server, a shaped link and a slow device answer held-out videos together.

story         starts everything, collects what happened, writes the report
edge          the device, a process of its own without torch (`python -m approxbit.demo.edge`)
edge_process  the story's end of the pipe to it
device        what the device computes with: the artefacts that `approxbit.exporting.prepare` exported
torch_device  the same with torch, for a host that has it
measure       the LUT's times, on this machine and now
plan          segments of the trace, SLAs and pace, derived from the LUT
screen        a live table, or plain lines where there is no terminal
"""
