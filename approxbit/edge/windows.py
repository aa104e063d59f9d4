"""What the edge remembers of windows that overlap, so that packets can hold only what is new."""

from typing import NamedTuple, Optional

from approxbit.wire import Binding, Packet, WindowPlace, count_steps
from approxbit.wire.window import MAX_BACK, MAX_STEPS

NUM_SEQUENCES = 2**32


class _Acknowledged(NamedTuple):
    """The last code whose answer came back, and how far the windows moved on since."""

    binding: Binding
    sequence: int
    code: bytes
    shift_frames: int


class Windows:
    """Says of each code against which earlier one it may be coded; not for several threads at once.

    Only a code whose answer came back is referred to, so a packet or an answer that is lost costs a key
    packet and nothing else. Codes are exact, so errors do not add up over updates; the regular key packets
    only bound how long whatever else went wrong can last.

    Args:
        num_frames: Frames of a clip.
        key_every: At least every so many packets is a key packet; 1 for no updates at all.

    Raises:
        ValueError: `key_every` is below 1.
    """

    def __init__(self, num_frames: int, key_every: int):
        if key_every < 1:
            raise ValueError(f"key_every must be at least 1, found {key_every}")
        self._num_frames = num_frames
        self._key_every = key_every
        self._is_window = False
        self._last: Optional[_Acknowledged] = None
        self._num_updates = 0

    def move(self, shift_frames: Optional[int]) -> None:
        """The next clip starts so many frames after the one before it; None for a clip of its own.

        Raises:
            ValueError: `shift_frames` is negative.
        """
        if shift_frames is not None and shift_frames < 0:
            raise ValueError(f"shift_frames must be 0 or more, found {shift_frames}")
        self._is_window = shift_frames is not None
        if shift_frames is None:
            self._last = None
        elif self._last is not None:
            self._last = self._last._replace(shift_frames=self._last.shift_frames + shift_frames)

    def shorten(self, key: Packet, code: bytes, binding: Binding) -> Packet:
        """The packet as an update, if it may be one and is shorter then; else as it is.

        Until `acknowledge` is called, all packets after it stay key packets.

        Args:
            key: Of the next clip, with the binding's number.
            code: The same code packed.
            binding: Of the session.
        """
        if not _has_updates(binding):
            return key
        last, self._last = self._last, None
        if last is None or last.binding is not binding or self._num_updates + 1 >= self._key_every:
            return key
        times = key.configuration.grid_size(key.feature_size)[0] if key.configuration else 0
        steps = count_steps(last.shift_frames, self._num_frames, times)
        back = (key.sequence - last.sequence) % NUM_SEQUENCES
        if steps >= times or steps > MAX_STEPS or not 1 <= back <= MAX_BACK:
            return key
        return binding.code_format.update(key, code, WindowPlace.after(last.code, back, steps), last.code)

    def acknowledge(self, packet: Packet, code: bytes, binding: Binding) -> None:
        """The answer to a packet came back, so that the server has its code."""
        if not _has_updates(binding) or not self._is_window:
            return
        self._num_updates = 0 if packet.place is None else self._num_updates + 1
        self._last = _Acknowledged(binding, packet.sequence, code, shift_frames=0)


def _has_updates(binding: Binding) -> bool:
    prior = binding.code_format.prior
    return prior is not None and prior.update is not None
