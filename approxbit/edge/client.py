"""A device and its server behind one name: what `approxbit.Edge` and `approxbit run` are."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Iterator, NamedTuple, Sequence, Union, overload

import numpy as np

from approxbit.edge.answer import EdgeAnswer
from approxbit.edge.arms.arm import EdgeArm
from approxbit.edge.asking import SentClip
from approxbit.edge.device import Device
from approxbit.edge.exchange import Exchange, RefusedError
from approxbit.edge.measure import refresh_times
from approxbit.edge.opening import open_family
from approxbit.edge.session import EdgeSession
from approxbit.edge.transport import GrpcTransport
from approxbit.engines.questions import IN_WORDS, as_question
from approxbit.engines.runner import ClipFormat
from approxbit.errors import LinkError, WireError
from approxbit.families import list_models, load_lut, split_name
from approxbit.files import PathLike
from approxbit.select import LUT, SLA, LatencySLA, LUTRow, parse_sla
from approxbit.video.reader import read_clip, read_windows
from approxbit.wire import AnswerKind, Status, Wanted

NUM_LABELS = 5
NUM_TIMED = 4
CONNECT_S = 10.0
_LOOSE = LatencySLA(1e9)
_ADDRESS = re.compile(r"\S+:\d+")


Askable = Union[np.ndarray, PathLike, SentClip, EdgeAnswer]
"""What a question may be about: frames, a video file, or a clip that was sent before."""


class Clip(NamedTuple):
    """Frames that get one answer.

    Attributes:
        frames: RGB, uint8, `[time, height, width, 3]`.
        start_frame: Of a window, its first frame in the video; None for a clip sampled from all of it.
        shift_frames: Of a window, by how many frames it follows the one before it.
    """

    frames: np.ndarray
    start_frame: int | None = None
    shift_frames: int | None = None


def read_clips(
    path: PathLike,
    clip_format: ClipFormat,
    step: int = 0,
    stream: int | None = None,
    on_damage: str = "error",
) -> Iterator[Clip]:
    """The one clip of a video, or its windows `step` frames apart; one is held at a time.

    Frames are scaled as they are decoded, to what the clip's crop is cut from.

    Args:
        path: A video file.
        clip_format: Of the model.
        step: 0 samples one clip from the whole file.
        stream: As in `approxbit.video.read_clip`.
        on_damage: Likewise.

    Raises:
        VideoError: The file cannot be read, or is too short. Windows before the damage are still given.
        ValueError: `step` is below 0, or `on_damage` is unknown.
    """
    num_frames, size = clip_format.num_frames, clip_format.size
    if not step:
        yield Clip(read_clip(path, num_frames, short_side=size, stream=stream, on_damage=on_damage))
        return
    windows = read_windows(path, num_frames, step, short_side=size, stream=stream, on_damage=on_damage)
    for number, frames in enumerate(windows):
        yield Clip(frames, number * step, step if number else num_frames)


class Edge:
    """This device, answering clips together with a server; a context manager.

    ```python
    with approxbit.Edge("digits-movinet", server="192.168.1.10:50051", sla="latency<=60ms") as edge:
        answer = edge.answer_video("clip.mp4")
    print(answer.label, answer.arm, answer.latency_ms)
    ```

    A family that answers questions is asked them, with the clip or when it has crossed long ago: then only
    the question crosses.

    ```python
    with approxbit.Edge(family, server="192.168.1.10:50051") as edge:
        clip = edge.send("clip.mp4")
        print(edge.ask(clip, "what is red").text)
    ```

    It needs no torch where the family's graphs were exported (`approxbit export`), and no server to open: a
    clip that the server does not answer is answered by the whole model on this device, and says why
    (`EdgeAnswer.fell_back`, `reason`). Call `connect` to be told before the first clip. Only torch answers
    questions on the device: `device` is then what `approxbit.profiling.torch_device.open_torch_device` gives.

    Args:
        family: Such as `digits-movinet` or `hf://owner/name`; or one model of it, such as
            `digits-movinet/16-Enc-B5`, whose codes then carry every clip.
        server: Where `approxbit serve` listens, as `host:port`.
        sla: `latency<=60ms` or `accuracy>=92`: the selector chooses an arm for each clip by the family's LUT.
            Without one, codes of the model that was named, or of the family's most accurate one; in a
            family without codecs, whatever is the most accurate by the LUT.
        device: What computes; by default `open_family` opens it.
        num_labels: How many of the likeliest classes an answer names, 1 to 255.

    Raises:
        ValueError: There is no such family, model or LUT, or an argument is malformed.
        ApproxBitError: A file of the family is damaged.
        ImportError: The graphs are missing and cannot be exported here, or onnxruntime is not installed.
    """

    def __init__(
        self,
        family: str,
        server: str,
        sla: str | SLA = "",
        device: Device | None = None,
        num_labels: int = NUM_LABELS,
    ):
        check_address(server)
        self.sla = _read_sla(sla)
        self.name = choose_model(family, sla)
        self.server = server
        self.device = device or open_family(self.name)
        self._wanted = IN_WORDS if self.device.answers_questions else Wanted(AnswerKind.TOP_K, num_labels)
        family, configuration = split_name(self.name)
        self.lut = _single_arm(self.device, configuration) if configuration else load_lut(family)
        self._transport = GrpcTransport(server)
        self._session = self._open_session()

    def __enter__(self) -> Edge:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the connection back."""
        self._session.close()
        self._transport.close()

    def connect(self, timeout_s: float = CONNECT_S) -> None:
        """Make sure that a server is there that reads this device's codes.

        Raises:
            LinkError: None answers within `timeout_s` seconds, or it has another family or other weights.
        """
        family = split_name(self.name)[0]
        exchange = Exchange(self._transport, self._arms, self._wanted)
        try:
            exchange.open(timeout_s)
            self._transport.ping(timeout_s)  # where no arm has codes, nothing was asked yet
        except RefusedError as error:
            raise LinkError(f"{self.server}: {error}") from error
        except (LinkError, WireError) as error:
            advice = f"start one there with `approxbit serve --family {family}`"
            raise LinkError(f"no server for {family} answers at {self.server}: {advice}\n{error}") from error
        refused = exchange.refused
        if not refused or len(refused) < len([arm for arm in self._arms if arm.code_format]):
            return
        if Status.WRONG_WEIGHTS in refused.values():
            raise LinkError(
                f"the server at {self.server} has other weights or another preprocessing than {family} has "
                "here: both sides need the same files of the family"
            )
        raise LinkError(
            f"the server at {self.server} reads no codes of {family} ({', '.join(refused)}): it serves "
            f"another family; start one with `approxbit serve --family {family}`"
        )

    def calibrate(self, frames: np.ndarray, direct: str = "") -> None:
        """Put the times of this device and this server into the LUT, medians over some answers of every arm.

        Without it the selector goes by the times of the machine on which the LUT was measured.

        Args:
            frames: Of one clip, uint8 `[time, height, width, 3]`.
            direct: Address of the same server, where `server` is that of a shaped link: times must not wait
                for it.

        Raises:
            LinkError: The server does not answer.
            ValueError: The LUT has no arm that the device can run.
        """
        with GrpcTransport(direct or self.server) as transport:
            clips = [frames] * NUM_TIMED
            self.lut = refresh_times(
                self.lut, self.device, transport, clips, "this machine", wanted=self._wanted
            )
        self._session.close()
        self._session = self._open_session()

    def answer(self, frames: np.ndarray, shift_frames: int | None = None) -> EdgeAnswer:
        """The one answer to one clip, with names of its likeliest classes.

        Args:
            frames: RGB, uint8, `[time, height, width, 3]`, with the number of frames of the family's clips.
            shift_frames: See `EdgeSession.answer`.

        Raises:
            ValueError: The frames are not those of a clip, or the family answers questions.
        """
        if self.device.answers_questions:
            raise ValueError(
                f"{self.name} answers questions: ask(clip, 'what is red') asks one, and send(clip) sends a "
                "clip for questions that come later"
            )
        answer = self._session.answer(frames, shift_frames)
        return replace(answer, labels=tuple(self.device.rank(answer.answer)))

    def answer_video(self, path: PathLike) -> EdgeAnswer:
        """The answer to one clip that is sampled from a whole video file.

        Raises:
            VideoError: The file cannot be read.
        """
        (clip,) = read_clips(path, self.device.clip_format)
        return self.answer(clip.frames)

    def answer_windows(self, path: PathLike, step: int) -> Iterator[EdgeAnswer]:
        """The answers to the windows of a long video file, `step` frames apart.

        Raises:
            VideoError: The file cannot be read, or is shorter than a window.
            ValueError: `step` is below 1.
        """
        if step < 1:
            raise ValueError(f"step must be at least 1, found {step}")
        for clip in read_clips(path, self.device.clip_format, step):
            yield self.answer(clip.frames, clip.shift_frames)

    def send(self, clip: np.ndarray | PathLike, shift_frames: int | None = None) -> SentClip:
        """Send a clip that nobody has a question about yet; `ask` takes what it returns.

        Args:
            clip: Frames as for `answer`, or a video file, of which one clip is sampled.
            shift_frames: See `EdgeSession.answer`.

        Raises:
            ValueError: The frames are not those of a clip, or the family answers no questions.
            VideoError: The file cannot be read.
            LinkError: The server does not answer, and the device cannot answer by itself.
        """
        self._check_asked()
        sent = self._session.answer(self._frames(clip), shift_frames).clip
        assert sent is not None
        return sent

    @overload  # a str is a sequence of str, but the first that fits counts
    def ask(  # type: ignore[overload-overlap]
        self, clip: Askable, questions: str, shift_frames: int | None = None
    ) -> EdgeAnswer: ...

    @overload
    def ask(
        self, clip: Askable, questions: Sequence[str], shift_frames: int | None = None
    ) -> list[EdgeAnswer]: ...

    def ask(
        self, clip: Askable, questions: str | Sequence[str], shift_frames: int | None = None
    ) -> EdgeAnswer | list[EdgeAnswer]:
        """The answer to a question about a clip, or the answers to several; `text` is what they say.

        The clip crosses with the first question, if the server does not have it already; then only questions
        do. What the server has forgotten is sent again.

        Args:
            clip: Frames as for `answer`, or a video file, of which one clip is sampled; or a clip that was
                sent before: what `send` returned, or an earlier answer about it.
            questions: One, or a list.
            shift_frames: Of frames that were not sent yet; see `EdgeSession.answer`.

        Raises:
            ValueError: The family answers no questions, one is no text, empty, or too long, or the frames are
                not those of a clip.
            VideoError: The file cannot be read.
            LinkError: The server does not take a question (`RefusedError`), or does not answer while the
                device cannot answer by itself.
        """
        self._check_asked()
        texts = [as_question(each) for each in ([questions] if isinstance(questions, str) else questions)]
        sent = clip.clip if isinstance(clip, EdgeAnswer) else clip
        answers = []
        for text in texts:
            if isinstance(sent, SentClip):
                answers.append(self._session.ask(sent, text))
            else:
                answers.append(self._session.answer(self._frames(sent), shift_frames, question=text))
                sent = answers[0].clip
        return answers[0] if isinstance(questions, str) else answers

    def _check_asked(self) -> None:
        if not self.device.answers_questions:
            raise ValueError(
                f"{self.name} tells classes of clips and answers no questions: answer(frames) and "
                "answer_video(path) do that"
            )

    def _frames(self, clip: np.ndarray | PathLike | None) -> np.ndarray:
        if isinstance(clip, np.ndarray):
            return clip
        if clip is None:
            raise ValueError("expected frames, a video file, a clip that was sent, or an answer about one")
        (read,) = read_clips(clip, self.device.clip_format)
        return read.frames

    @property
    def _arms(self) -> list[EdgeArm]:
        """Those that the selector may choose, and those that work without a server."""
        return [arm for arm in self.device.arms if arm.name in self.lut.arms or not arm.crosses_link]

    def _open_session(self) -> EdgeSession:
        return EdgeSession(
            self._arms, self._transport, self.lut, self.sla, self.device.clip_format, wanted=self._wanted
        )


def check_address(server: str) -> None:
    """Let only `host:port` pass.

    Raises:
        ValueError: It is something else.
    """
    if _ADDRESS.fullmatch(server) is None:
        raise ValueError(f"expected a server as host:port, such as 192.168.1.10:50051, found {server!r}")


def choose_model(name: str, sla: str | SLA = "") -> str:
    """What of a family a device needs: all of it where an SLA decides for each clip, else one model.

    Args:
        name: A family, or a model of one.
        sla: Empty for none.

    Returns:
        The family under an SLA, or where it has no codecs; else the model that was named, or the one that is
        the most accurate by the family's LUT, or the first of a family that has no LUT.

    Raises:
        ValueError: There is no such family or model, or a model is named beside an SLA.
    """
    family, configuration = split_name(name)
    known = list_models(family)
    if configuration and configuration not in known:
        has = ", ".join(known) or "(none)"
        raise ValueError(f"{family} has the configurations {has}, found {configuration!r}")
    if configuration and sla:
        raise ValueError(f"expected one model or an SLA that chooses, found {name} and {sla}")
    if configuration or sla or not known:
        return name
    try:
        rows = [row for row in load_lut(family).rows if row.arm in known]
    except ValueError:  # not measured yet
        rows = []
    return f"{family}/{max(rows, key=lambda row: row.accuracy).arm if rows else known[0]}"


def _read_sla(sla: str | SLA) -> SLA:
    if isinstance(sla, str):
        return parse_sla(sla) if sla else _LOOSE
    return sla


def _single_arm(device: Device, configuration: str) -> LUT:
    """A LUT that leaves the selector no choice."""
    row = LUTRow(configuration, 0, 0, 0, 0, 0, 0)
    return LUT((row,), device="", backend=device.backend, date="1970-01-01", num_clips=1)
