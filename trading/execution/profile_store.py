"""The measured volume profiles on disk, so that plans can be made without bars. Light."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from trading.execution.errors import PlanError
from trading.execution.volume_shapes import check_shares
from trading.marketdata.files import replace_file


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Measured shares of volume. shape: median over `days` sessions, sums to 1; early_shape: the same over
    `early_days` sessions that closed early, empty: too few of them. minutes: length of the bars; first,
    as_of: dates of the oldest and the newest session used. mark: the stored bars it was measured on."""

    symbol: str
    shape: tuple[float, ...]
    days: int
    minutes: int
    first: date
    as_of: date
    early_shape: tuple[float, ...] = ()
    early_days: int = 0
    mark: str = ""

    def __post_init__(self) -> None:
        check_shares("shape", self.shape)
        if self.early_shape:
            check_shares("early_shape", self.early_shape)


class ProfileStore:
    """The measured profiles in data_dir/profiles.json: written by a job, read without pandas, replaced whole.

    data_dir: also where the bars are that they were measured on.
    """

    def __init__(self, data_dir: Path | str) -> None:
        self.data_dir = Path(data_dir)
        self.path = self.data_dir / "profiles.json"

    def read(self) -> dict[str, Profile]:
        """Return the profiles by symbol; empty: none were measured. Raises PlanError for a damaged file."""
        try:
            plain = json.loads(self.path.read_text(encoding="utf-8"))
            return {str(symbol): _profile(symbol, each) for symbol, each in plain["profiles"].items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise PlanError(
                f"{self.path}: cannot be read as volume profiles ({error}); "
                f"run scripts/refresh_volume_profiles.py, which makes it again"
            ) from error

    def get(self, symbol: str) -> Profile | None:
        """Return a symbol's profile; None: none was measured. Raises PlanError for a damaged file."""
        return self.read().get(symbol)

    def write(self, profiles: Mapping[str, Profile]) -> None:
        """Replace all profiles. Raises OSError when they cannot be written."""
        plain = {symbol: _plain(profiles[symbol]) for symbol in sorted(profiles)}
        replace_file(self.path, (json.dumps({"version": 1, "profiles": plain}, indent=1) + "\n").encode())


def _plain(profile: Profile) -> dict[str, object]:
    return {
        "shape": list(profile.shape),
        "days": profile.days,
        "early_shape": list(profile.early_shape),
        "early_days": profile.early_days,
        "minutes": profile.minutes,
        "first": profile.first.isoformat(),
        "as_of": profile.as_of.isoformat(),
        "mark": profile.mark,
    }


def _profile(symbol: str, plain: Mapping[str, object]) -> Profile:
    shapes = {}
    for name in ("shape", "early_shape"):
        shares = plain[name]
        if not isinstance(shares, list):
            raise ValueError(f"{name} of {symbol} is {shares!r}: expected a list")
        shapes[name] = tuple(float(share) for share in shares)
    return Profile(
        symbol=symbol,
        days=int(str(plain["days"])),
        early_days=int(str(plain["early_days"])),
        minutes=int(str(plain["minutes"])),
        first=date.fromisoformat(str(plain["first"])),
        as_of=date.fromisoformat(str(plain["as_of"])),
        mark=str(plain["mark"]),
        shape=shapes["shape"],
        early_shape=shapes["early_shape"],
    )
