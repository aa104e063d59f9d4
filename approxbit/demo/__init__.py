"""The story: a server, a shaped link and a slow device answer held-out videos together.

story         starts everything, collects what happened, writes the report
edge          the device, a process of its own without torch (`python -m approxbit.demo.edge`)
plan          segments of the trace, SLAs and pace, derived from the LUT
screen        a live table, or plain lines where there is no terminal
"""
