"""Programs that train well: no check may warn on them, and none may be stopped.

They were listed before any verdict on them had been seen. Accuracy alone decides whether one trains well
(``trains_well``); one that does not is left out of the count, and the benchmark reports it.
"""

from __future__ import annotations

from diagnosis_programs import checking, former_checking, tuning
from diagnosis_programs.sound import Healthy

HEALTHY: dict[str, Healthy] = {
    each.name: each for each in (*tuning.SOUND, *former_checking.SOUND, *checking.SOUND)
}
