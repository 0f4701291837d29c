"""A prior obeys the laws whatever gives its codes: the catalogue tries it on one autoencoder, this on the others."""

import laws_book as laws
import pytest
from laws_kit import SPECS, Case

from urbild.models.autoregressive.code_parts import AudioCodes, PixelcnnVqvaeCodes, Vqvae2Codes
from urbild.models.autoregressive.code_priors import GatedPrior
from urbild.nets.voice import Dilated

PRIOR = GatedPrior(layers=2, width=4)
TWO_MAPS = Vqvae2Codes(hidden=8, residual=1, code_size=4)
PIXELS = PixelcnnVqvaeCodes(layers=2, width=4, kernel=3, first_kernel=3)
SOUND = AudioCodes(
    hop=8,
    width=8,
    decoder=Dilated(cycles=1, dilations=3, temperature=0.001),
    learning_rate=0.005,
    conditional=True,
    classes=("high", "low"),
)
IMAGES, SOUNDS = SPECS["image"], [spec for spec in SPECS["sequence"] if spec.rate is not None]
CASES = [
    *(Case("latent_prior", spec, {"autoencoder": TWO_MAPS, "prior": PRIOR}) for spec in IMAGES),
    Case("latent_prior", IMAGES[1], {"autoencoder": TWO_MAPS, "prior": PRIOR, "conditional": True}),
    Case("latent_prior", IMAGES[0], {"autoencoder": PIXELS, "prior": PRIOR}),
    *(Case("latent_prior", spec, {"autoencoder": SOUND, "prior": PRIOR, "conditional": True}) for spec in SOUNDS),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.options['autoencoder'].system}-{case}")
@pytest.mark.parametrize(
    "law",
    [
        laws.gradient_reaches_every_parameter,
        laws.a_turn_moves_only_its_own_modules,
        laws.later_stages_leave_earlier_modules_alone,
        laws.same_seed_same_model,
        laws.everything_exists_from_the_start,
        laws.the_score_ignores_company_and_order,
        laws.verbs_draw_nothing,
        laws.images_stay_in_their_range,
        laws.it_trains_on_two_samples,
        laws.the_map_covers_the_sites,
        laws.the_reconstruction_depends_on_x,
        laws.sampling_follows_the_generator,
    ],
    ids=lambda law: law.__name__,
)
def test_law(law, case: Case) -> None:  # type: ignore[no-untyped-def]
    law(case)
