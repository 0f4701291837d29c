"""What is decided on the training sounds: rate, length and level; and its use on every later sound."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from math import ceil, gcd
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from urbild.contract import Batch, DataSpec, Source
from urbild.data.keys import below
from urbild.data.records import Records
from urbild.data.sounds import Sounds, Tone
from urbild.errors import DataError, OptionError, ShapeError

Level = Literal["none", "rms", "peak"]

LEAST = 16  # samples, below which nothing can be heard
RMS = 0.1
SILENCE = np.float32(1e-9)


def resample(wave: np.ndarray, rate: int, wanted: int) -> np.ndarray:
    """A wave [T] at another rate: [ceil(T wanted / rate)], low-passed at .45 of the lower rate.

    A tone below .37 of the lower rate keeps its level within .01 dB; one above .53 of it loses 80 dB.
    """
    if rate == wanted:
        return wave
    from scipy.signal import firwin, resample_poly

    common = gcd(rate, wanted)
    up, down = wanted // common, rate // common
    longest = max(up, down)
    filter_ = firwin(32 * longest + 1, 0.9 / longest, window=("kaiser", 8.0))
    return np.asarray(resample_poly(wave.astype(np.float64), up, down, window=filter_), dtype=np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Waves:
    """How sounds become samples (T, 1) in [-1, 1]: mixed down, resampled, levelled, then cut or padded to T.

    Padding is exact zeros at the end. What sounds never ends in an exact zero, so that padding can be told from it.

    Attributes:
        rate: samples a second.
        length: T, of the longest training sound.
        window: samples of a training crop, or None where sounds are trained on whole. Crops are for systems that take
            any length: what they score is T long.
        normalise: "rms" brings each sound to a root mean square of .1, "peak" to a largest value of 1.
    """

    rate: int
    length: int
    window: int | None = None
    normalise: Level = "none"

    @classmethod
    def fit(
        cls, records: Records, rows: np.ndarray, *, rate: int | None, window: int | None, normalise: str
    ) -> "Waves":
        """Chooses from the headers: the commonest rate (of equally common ones the highest), and the longest sound.

        Raises:
            DataError: a header is unreadable, or a sound too short.
            OptionError: an option is out of range.
        """
        if normalise not in ("none", "rms", "peak"):
            msg = f"normalise={normalise!r} is unknown for sound; known: none, rms, peak."
            raise OptionError(msg)
        if rate is not None and rate < 1:
            msg = f"rate={rate} is out of range; give samples a second, such as 8000."
            raise OptionError(msg)
        if window is not None and window < LEAST:
            msg = f"window={window} is out of range; give {LEAST} samples or more."
            raise OptionError(msg)
        tones = [_sounds(records).tone(row) for row in rows.tolist()]
        counts = Counter(tone.rate for tone in tones)
        rate = rate or max(counts, key=lambda found: (counts[found], found))
        lengths = [ceil(tone.length * rate / tone.rate) for tone in tones]
        for row, length in zip(rows.tolist(), lengths, strict=True):
            _refuse_short(records.ids[row], length, rate)
        longest = max(lengths)
        level: Level = normalise  # type: ignore[assignment]  # one of them, as was checked
        return cls(rate=rate, length=longest, window=min(window, longest) if window else None, normalise=level)

    def spec(self, classes: tuple[str, ...] = ()) -> DataSpec:
        """Of a whole sound."""
        return DataSpec(shape=(self.length, 1), kind="sequence", classes=classes, rate=self.rate)

    def check(self, records: Records) -> None:
        """Nothing shows without reading: other rates, lengths and numbers of channels are brought to these."""
        _sounds(records)

    def encode(self, records: Records, row: int) -> np.ndarray:
        """The sound `row` [t] float32 in [-1, 1], of its own length.

        Raises:
            DataError: it is unreadable or too short.
        """
        found = _sounds(records)
        wave = found.read(row).mean(1, dtype=np.float32)
        wave = resample(wave, found.tone(row).rate, self.rate)
        _refuse_short(records.ids[row], len(wave), self.rate)
        return np.clip(wave * self._gain(wave), -1, 1)

    def _gain(self, wave: np.ndarray) -> np.float32:
        if self.normalise == "none":
            return np.float32(1)
        peak = float(np.abs(wave).max())
        size = peak if self.normalise == "peak" else float(np.sqrt(np.square(wave, dtype=np.float64).mean())) / RMS
        return np.float32(1 / size if size > 0 else 1)

    def pad(self, waves: list[np.ndarray], length: int) -> tuple[Tensor, Tensor]:
        """Samples [N, length, 1] and where they sound, bool [N, length], of waves that are cut or padded."""
        x = np.zeros((len(waves), length), dtype=np.float32)
        ends = np.asarray([min(len(wave), length) for wave in waves])
        for place, (wave, end) in enumerate(zip(waves, ends.tolist(), strict=True)):
            x[place, :end] = wave[:end]
            if x[place, end - 1] == 0:
                x[place, end - 1] = SILENCE
        mask = np.arange(length)[None] < ends[:, None]
        return torch.from_numpy(x)[..., None], torch.from_numpy(mask)

    def restore(self, x: Tensor) -> np.ndarray:
        """Waves [N, T] float32 in [-1, 1] of samples [N, T, 1]."""
        return x.detach().cpu().float()[..., 0].clamp(-1, 1).numpy()

    def summary(self, records: Records, rows: np.ndarray) -> str:
        """One line on the training sounds, and on what is done to them."""
        tones = [_sounds(records).tone(row) for row in rows.tolist()]
        seconds = [tone.length / tone.rate for tone in tones]
        span = f"{min(seconds):.2f} to {max(seconds):.2f} s"
        whole = f"{sum(seconds) / 60:.1f} min" if sum(seconds) >= 60 else f"{sum(seconds):.1f} s"
        parts = [f"{len(tones):,} sound{'s' * (len(tones) != 1)} of {span}, {whole} in all"]
        parts += self._changed(tones)
        parts += [f"each at the same {self.normalise.upper() if self.normalise == 'rms' else 'peak'}"] * (
            self.normalise != "none"
        )
        crops = f", trained on crops of {self.window:,}" if self.window else ""
        return f"{'; '.join(parts)}; {self.rate:,} Hz, {self.length:,} samples each{crops}"

    def changes(self, records: Records) -> str:
        """What is done to sounds that come after training, in words; empty where nothing is."""
        return "; ".join(self._changed([_sounds(records).tone(row) for row in range(len(records))]))

    def cut(self, records: Records) -> int:
        """How many sounds are longer than the longest training sound, so that their ends are not heard."""
        tones = (_sounds(records).tone(row) for row in range(len(records)))
        return sum(ceil(tone.length * self.rate / tone.rate) > self.length for tone in tones)

    def _changed(self, tones: Sequence[Tone]) -> list[str]:
        mixed = sum(tone.channels > 1 for tone in tones)
        other = sum(tone.rate != self.rate for tone in tones)
        said = [f"{mixed:,} mixed down to one channel"] if mixed else []
        return said + ([f"{other:,} resampled"] if other else [])

    def to_json(self) -> dict[str, Any]:
        """As JSON data."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Waves":
        """What `to_json` wrote."""
        return cls(**data)


class WaveSource(Source):
    """Whole sounds at one length with a mask, or random crops of them; decoded once if all fit in memory."""

    def __init__(
        self,
        records: Records,
        rows: np.ndarray,
        waves: Waves,
        spec: DataSpec,
        *,
        crops: int,
        seed: int,
        memory: int,
    ) -> None:
        self._records, self._rows, self._waves = records, rows, waves
        self._crops, self._seed = crops, seed
        self._length = waves.window if crops and waves.window else waves.length
        self.spec = replace(spec, shape=(self._length, 1))
        labels = None if records.labels is None else records.labels[rows].astype(np.int64)
        self.labels = labels if labels is None or not crops else np.repeat(labels, crops)
        self._kept: dict[int, np.ndarray] = {}
        self._keeps = 4 * waves.length * len(rows) <= memory

    def __len__(self) -> int:
        return len(self._rows) * max(1, self._crops)

    def fetch(self, rows: Sequence[int], *, epoch: int = 0) -> Batch:
        """The sounds at `rows`, or crops of them."""
        at = np.asarray(rows, dtype=np.int64)
        files = at // self._crops if self._crops else at
        index = self._rows[files]
        waves = [self._wave(file) for file in files.tolist()]
        if self._crops:
            room = np.asarray([max(0, len(wave) - self._length) for wave in waves]) + 1
            starts = below(room, self._seed, epoch, index, at % self._crops).tolist()
            waves = [wave[start : start + self._length] for wave, start in zip(waves, starts, strict=True)]
            index = index * self._crops + at % self._crops
        x, mask = self._waves.pad(waves, self._length)
        labels = None if self.labels is None else torch.from_numpy(self.labels[at])
        return Batch(x=x, mask=mask, index=torch.from_numpy(index), y=labels)

    def _wave(self, file: int) -> np.ndarray:
        wave = self._kept.get(file)
        if wave is None:
            wave = self._waves.encode(self._records, int(self._rows[file]))
            if self._keeps:
                self._kept[file] = wave
        return wave


def _sounds(records: Records) -> Sounds:
    if not isinstance(records, Sounds):
        msg = f"{records.origin} holds {records.kind} data, but the model was trained on sound."
        raise ShapeError(msg)
    return records


def _refuse_short(name: str, length: int, rate: int) -> None:
    if length < LEAST:
        msg = f"{name} is too short: {length} samples at {rate} Hz, and {LEAST} are needed; leave it out."
        raise DataError(msg)
