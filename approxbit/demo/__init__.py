"""The story: a server, a shaped link and a slow device answer late questions about held-out videos.

story         starts everything, collects what happened
notes         what the report says beside the figures
edge          the device, a process of its own (`python -m approxbit.demo.edge`)
throttle      what makes that process slow (`python -m approxbit.demo.throttle`)
plan          who is compared with whom, and how long each bandwidth lasts
screen        a live table, or plain lines where there is no terminal
"""
