"""The published recipes. What a source does not say stands in as an unchecked value, and says so."""

from __future__ import annotations

from course.recipes.recipe import Piece, Recipe, Source

__all__ = ["RECIPES"]


def _read(where: str, *names: str) -> dict[str, Source]:
    """Return one source for several figures that were read in a copy of its text."""
    return dict.fromkeys(names, Source(where, checked=True))


def _not_read(where: str, *names: str) -> dict[str, Source]:
    return dict.fromkeys(names, Source(where, checked=False))


_PYTORCH_EPS = _not_read("not stated; PyTorch's default stands in", "eps")
_COMPUTED = _read("computed: tokens over the full batch, without its ramp", "steps")

LLAMA_1 = Recipe(
    name="Llama 1 65B", year=2023,
    document="LLaMA: Open and Efficient Foundation Language Models, arXiv:2302.13971",
    parameters=65.2e9, tokens=1.4e12, optimizer="AdamW", lr=1.5e-4, betas=(0.9, 0.95), eps=1e-8,
    weight_decay=0.1, clip=1.0, warmup=2000, steps=350_000, pieces=(Piece("cosine", to=0.1),),
    batch=4e6, precision="16 bits mixed",
    sources={
        **_read("section 2.3", "optimizer", "betas", "weight_decay", "clip", "warmup", "pieces"),
        **_read("table 2", "parameters", "tokens", "lr", "batch"),
        **_COMPUTED, **_PYTORCH_EPS, **_not_read("not stated in section 2", "precision"),
    },
)  # fmt: skip

LLAMA_2 = Recipe(
    name="Llama 2 70B", year=2023,
    document="Llama 2: Open Foundation and Fine-Tuned Chat Models, arXiv:2307.09288",
    parameters=70e9, tokens=2e12, optimizer="AdamW", lr=1.5e-4, betas=(0.9, 0.95), eps=1e-5,
    weight_decay=0.1, clip=1.0, warmup=2000, steps=500_000, pieces=(Piece("cosine", to=0.1),),
    batch=4e6, precision="bfloat16 mixed",
    sources={
        **_read("section 2.2", "optimizer", "betas", "eps", "weight_decay", "clip", "warmup", "pieces"),
        **_read("table 1", "parameters", "tokens", "lr", "batch"),
        **_COMPUTED,
        **_not_read("not stated in section 2; the weights were released in bfloat16", "precision"),
    },
)  # fmt: skip

LLAMA_3 = Recipe(
    name="Llama 3 405B", year=2024, document="The Llama 3 Herd of Models, arXiv:2407.21783",
    parameters=405e9, tokens=15.6e12, optimizer="AdamW", lr=8e-5, betas=(0.9, 0.95), eps=1e-8,
    weight_decay=0.1, clip=1.0, warmup=8000, steps=1_200_000, pieces=(Piece("cosine", to=0.01),),
    batch=16e6, precision="bfloat16, gradients summed in float32",
    sources={
        **_read("section 3.4.1", "optimizer", "lr", "warmup", "steps", "pieces", "batch"),
        **_read("section 2", "parameters", "tokens"),
        **_read("section 3.3.2 for the gradients", "precision"),
        **_not_read("not stated; Llama 2's value stands in", "betas", "weight_decay", "clip"),
        **_PYTORCH_EPS,
    },
    note="Batch 4M tokens at first, 8M after 252M tokens, 16M after 2.87T. Over the final 40M tokens the "
    "rate goes linearly to 0 (section 3.4.3).",
)  # fmt: skip

DEEPSEEK_V1 = Recipe(
    name="DeepSeek LLM 67B", year=2024,
    document="DeepSeek LLM: Scaling Open-Source Language Models with Longtermism, arXiv:2401.02954",
    parameters=67e9, tokens=2e12, optimizer="AdamW", lr=3.2e-4, betas=(0.9, 0.95), eps=1e-8,
    weight_decay=0.1, clip=1.0, warmup=2000, steps=round(2e12 / (4608 * 4096)),
    pieces=(Piece("constant", 0.8, 1.0), Piece("constant", 0.9, 0.316), Piece("constant", 1.0, 0.1)),
    batch=4608 * 4096, precision="bfloat16, gradients summed in float32",
    sources={
        **_read("section 2.3", "optimizer", "betas", "weight_decay", "clip", "warmup", "pieces"),
        **_read("table 2, 4608 sequences of 4096", "parameters", "tokens", "lr", "batch"),
        **_read("section 2.4", "precision"), **_COMPUTED, **_PYTORCH_EPS,
    },
    note="No cosine: steps, so that a longer run can go on from the plateau.",
)  # fmt: skip

DEEPSEEK_V2 = Recipe(
    name="DeepSeek-V2", year=2024, document="DeepSeek-V2, arXiv:2405.04434",
    parameters=236e9, tokens=8.1e12, optimizer="AdamW", lr=2.4e-4, betas=(0.9, 0.95), eps=1e-8,
    weight_decay=0.1, clip=1.0, warmup=2000, steps=round(8.1e12 / (9216 * 4096)),
    pieces=(Piece("constant", 0.6, 1.0), Piece("constant", 0.9, 0.316), Piece("constant", 1.0, 0.316**2)),
    batch=9216 * 4096, precision="bfloat16 mixed",
    sources={
        **_read(
            "section 3.1.2", "parameters", "tokens", "optimizer", "lr", "betas", "weight_decay", "clip",
            "warmup", "pieces", "batch",
        ),
        **_COMPUTED, **_PYTORCH_EPS, **_not_read("not found in the paper", "precision"),
    },
    note="Batch from 2304 sequences to 9216 over the first 225B tokens. 21B of the parameters act on "
    "a token.",
)  # fmt: skip

DEEPSEEK_V3 = Recipe(
    name="DeepSeek-V3", year=2024, document="DeepSeek-V3 Technical Report, arXiv:2412.19437",
    parameters=671e9, tokens=14.8e12, optimizer="AdamW", lr=2.2e-4, betas=(0.9, 0.95), eps=1e-8,
    weight_decay=0.1, clip=1.0, warmup=2000, steps=round(14.8e12 / (15360 * 4096)),
    pieces=(
        Piece("constant", 10 / 14.8, 1.0),
        Piece("cosine", 14.3 / 14.8, 0.1),
        Piece("constant", 14.633 / 14.8, 0.1),
        Piece("constant", 1.0, 7.3e-6 / 2.2e-4),
    ),
    batch=15360 * 4096, precision="float8, gradients and master copy float32, moments bfloat16",
    sources={
        **_read(
            "section 4.2", "parameters", "tokens", "optimizer", "lr", "betas", "weight_decay", "clip",
            "warmup", "pieces", "batch",
        ),
        **_read("section 3.3", "precision"), **_COMPUTED, **_PYTORCH_EPS,
    },
    note="Batch from 3072 sequences to 15360 over the first 469B tokens. 37B of the parameters act on "
    "a token.",
)  # fmt: skip

GPT_3 = Recipe(
    name="GPT-3 175B", year=2020, document="Language Models are Few-Shot Learners, arXiv:2005.14165",
    parameters=175e9, tokens=300e9, optimizer="AdamW", lr=0.6e-4, betas=(0.9, 0.95), eps=1e-8,
    weight_decay=0.1, clip=1.0, warmup=round(375e6 / 3.2e6), steps=round(300e9 / 3.2e6),
    pieces=(Piece("cosine", 260 / 300, 0.1), Piece("constant", 1.0, 0.1)),
    batch=3.2e6, precision="float16 mixed",
    sources={
        **_read("appendix B", "betas", "eps", "weight_decay", "clip", "pieces"),
        **_read("appendix B, 375M tokens over the full batch", "warmup"),
        **_read("table 2.1", "parameters", "tokens", "lr", "batch"),
        **_read("appendix B: Adam, with the weight decay of Loshchilov and Hutter", "optimizer"),
        **_COMPUTED, **_not_read("not stated", "precision"),
    },
    note="Batch from 32k tokens to the full one over the first 4 to 12 billion tokens.",
)  # fmt: skip

BERT_LAMB = Recipe(
    name="BERT-Large with LAMB", year=2020,
    document="NVIDIA DeepLearningExamples, PyTorch/LanguageModeling/BERT, phase 1",
    parameters=340e6, tokens=None, optimizer="LAMB", lr=6e-3, betas=(0.9, 0.999), eps=1e-6,
    weight_decay=0.01, clip=1.0, warmup=round(0.2843 * 7038), steps=7038,
    pieces=(Piece("polynomial", to=0.0, power=0.5, from_start=True),),
    batch=65536, batch_unit="sequences of 128", precision="float16 mixed, dynamic loss scale",
    sources={
        **_read("scripts/configs/pretrain_config.sh", "optimizer", "lr", "warmup", "steps", "precision"),
        **_read("pretrain_config.sh: 8192 on each of 8 devices", "batch"),
        **_read("defaults of FusedLAMB in apex", "betas", "eps", "clip"),
        **_read("run_pretraining.py", "weight_decay"),
        **_read("schedulers.py, PolyWarmUpScheduler", "pieces"),
        **_not_read("Devlin et al. (2019), section 3", "parameters"),
    },
    note="You et al. (2020) train with a linear decay and batches of 32,768 (their abstract prints 32868). "
    "Biases and normalization have no weight decay. Phase 2: 4e-3, 1563 steps, 32768 sequences of 512.",
)  # fmt: skip

RESNET_LARS = Recipe(
    name="ResNet-50 with LARS", year=2021,
    document="MLPerf Training v1.0, Google's submission on tpu-v4-4096",
    parameters=25.6e6, tokens=None, optimizer="LARS", lr=29.0, betas=None, momentum=0.929, eps=0.0,
    weight_decay=1e-4, clip=None, warmup=18 * 1_281_167 // 32768, steps=2355,
    pieces=(Piece("polynomial", to=1e-4 / 29.0, power=2.0),),
    batch=32768, batch_unit="images", precision="bfloat16 mixed",
    sources={
        **_read("run_and_time.sh", "optimizer", "lr", "momentum", "eps", "weight_decay", "steps", "batch"),
        **_read("run_and_time.sh: 18 epochs, computed for 1,281,167 images", "warmup"),
        **_read("lars_util.py, as in the submission on tpu-v4-128", "pieces"),
        **_not_read("of torchvision's model, 25,557,032", "parameters"),
        **_not_read("not stated in the script", "precision"),
    },
    note="Trust coefficient .001, the default of TensorFlow's LARSOptimizer; biases and normalization are "
    "neither adapted nor decayed. You et al. (2017) reach batches of 32K with other figures.",
)  # fmt: skip

RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        LLAMA_1, LLAMA_2, LLAMA_3, DEEPSEEK_V1, DEEPSEEK_V2, DEEPSEEK_V3, GPT_3, BERT_LAMB, RESNET_LARS,
    )
}  # fmt: skip
