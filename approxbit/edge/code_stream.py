"""What the edge remembers of a stream of overlapping clips, so that packets can hold only what is new."""

import os
from typing import NamedTuple, Optional, Tuple

from approxbit.configuration import Configuration
from approxbit.wire import CodeFormat, WindowPlace, count_steps
from approxbit.wire.request import MAX_BINDING
from approxbit.wire.window import MAX_BACK, MAX_STEPS

NUM_SEQUENCES = 2**32


class _Acknowledged(NamedTuple):
    """The last code whose answer came back, and how far the clips moved on since."""

    configuration: Configuration
    fingerprint: int
    sequence: int
    packed: bytes
    shift_frames: int


class CodeStream:
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
        self.binding = 1 + int.from_bytes(os.urandom(4), "big") % MAX_BINDING
        self._num_frames = num_frames
        self._key_every = key_every
        self._last: Optional[_Acknowledged] = None
        self._num_updates = 0

    def move(self, shift_frames: int) -> None:
        """The next clip starts so many frames after the one before it.

        Raises:
            ValueError: `shift_frames` is negative.
        """
        if shift_frames < 0:
            raise ValueError(f"shift_frames must be 0 or more, found {shift_frames}")
        if self._last is not None:
            self._last = self._last._replace(shift_frames=self._last.shift_frames + shift_frames)

    def forget(self) -> None:
        """The next packet is a key packet."""
        self._last = None

    def take_place(
        self, code_format: CodeFormat, sequence: int
    ) -> Tuple[Optional[WindowPlace], Optional[bytes]]:
        """The place of the next code and the packed earlier code, if it may be an update.

        Until `acknowledge` is called, all codes after it are key codes.
        """
        last = self._last
        self.forget()
        if last is None or self._num_updates + 1 >= self._key_every:
            return None, None
        if (last.configuration, last.fingerprint) != (code_format.configuration, code_format.fingerprint):
            return None, None
        times = code_format.configuration.grid_size(code_format.feature_size)[0]
        steps = count_steps(last.shift_frames, self._num_frames, times)
        back = (sequence - last.sequence) % NUM_SEQUENCES
        if steps >= times or steps > MAX_STEPS or not 1 <= back <= MAX_BACK:
            return None, None
        return WindowPlace.after(last.packed, back, steps), last.packed

    def acknowledge(self, code_format: CodeFormat, sequence: int, packed: bytes, is_key: bool) -> None:
        """The answer to a code came back, so that the server has it."""
        self._num_updates = 0 if is_key else self._num_updates + 1
        self._last = _Acknowledged(
            code_format.configuration, code_format.fingerprint, sequence, packed, shift_frames=0
        )
