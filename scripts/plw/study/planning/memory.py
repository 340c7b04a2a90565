"""What a training takes of a device's memory, from the sizes in a model's config.json, before anything is loaded.

The law is that of this project's training: float32 weights, gradients and Adam's two moments (16 bytes a weight, as
many as Rajbhandari et al. 2020, "ZeRO", §3.1, count in mixed precision); a LLaMA layer's activations, counted tensor by
tensor as Korthikanti et al. 2022 ("Reducing Activation Recomputation in Large Transformer Models", §4.1) count a GPT
layer's; and the output layer's loss in chunks. What libraries take beside tensors (kernels' workspace, CUDA's context,
fragments of the allocator) is not in it. benchmarks/bench_memory.py measures how well it predicts.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

FLOAT32, BFLOAT16, INT64 = 4, 2, 8  # bytes
MOMENTS = 2  # Adam's: Kingma and Ba 2015
CHUNK_TOKENS = 256  # plw.training.forward.chunked_loss, which takes it from here
# DeepSpeed's defaults, in elements: reduce_bucket_size, which plw.training.zero names, is allocated whole;
# stage3_max_live_parameters bounds the weights that ZeRO-3 keeps gathered, stage3_prefetch_bucket_size what it gathers
# at once, which is there twice for a moment.
BUCKET_ELEMENTS = 500_000_000
MOST_GATHERED = 1_000_000_000
GATHERED_AT_ONCE = 50_000_000
ERROR = 0.15  # what predictions of benchmarks/bench_memory.py are at most off; what is refused is beyond it
PARTITIONED = (1, 2, 3)


@dataclass(frozen=True)
class ModelShape:
    """The sizes that decide a model's memory; all counts ≥ 1.

    heads, kv_heads  of queries, and of keys and values;  head_size  elements of one
    tied             whether the output layer's weights are the embedding's
    """

    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_size: int
    intermediate: int
    vocabulary: int
    tied: bool = False

    @property
    def layer_weights(self) -> int:
        """Weights of one LLaMA layer: four projections of attention, three of the feed-forward part, two norms."""
        attention = 2 * self.hidden * self.head_size * (self.heads + self.kv_heads)
        return attention + 3 * self.hidden * self.intermediate + 2 * self.hidden

    @property
    def embedding(self) -> int:
        """Weights of the embedding; the output layer has as many."""
        return self.vocabulary * self.hidden

    @property
    def weights(self) -> int:
        """All weights, tied ones once."""
        return (1 if self.tied else 2) * self.embedding + self.layers * self.layer_weights + self.hidden


def shape_of(config: Mapping[str, Any]) -> ModelShape | None:
    """The shape that a config.json says; None where it names no sizes of a decoder.

    The text part where a model has several; keys of GPT-2 beside LLaMA's, with defaults as transformers has them (kv
    heads: as many as heads; feed-forward: four times the hidden size).
    """
    config = config.get("text_config") or config
    named = {
        "hidden": ("hidden_size", "n_embd"),
        "layers": ("num_hidden_layers", "n_layer"),
        "heads": ("num_attention_heads", "n_head"),
        "vocabulary": ("vocab_size",),
    }
    found: dict[str, Any] = {
        name: next((config[key] for key in keys if config.get(key)), None) for name, keys in named.items()
    }
    if not all(isinstance(value, int) and value > 0 for value in found.values()):
        return None
    hidden, heads = found["hidden"], found["heads"]
    return ModelShape(
        **found,
        kv_heads=config.get("num_key_value_heads") or heads,
        head_size=config.get("head_dim") or hidden // heads,
        intermediate=config.get("intermediate_size") or config.get("n_inner") or 4 * hidden,
        # Written by transformers only where it is not the default, which is the model's: true for GPT-2's family.
        tied=bool(
            config.get("tie_word_embeddings", config.get("model_type") in ("gpt2", "gpt_neo", "gemma", "gemma2"))
        ),
    )


@dataclass(frozen=True)
class Training:
    """What of a training's settings decides its memory on one device.

    rows, tokens   of the largest physical batch: sequences, and tokens of each with padding
    steps          physical batches of an update on a device: from two on gradients are there in the forward pass
    compute_dtype  float32 | bfloat16 (autocast);  zero_stage  None, 0 to 3;  ranks  devices of the training
    checkpointing  activations of a layer are made again in the backward pass
    offload        none | cpu: DeepSpeed keeps moments and masters (at stage 3 weights too) in the host's memory
    frozen_copy    whether the starting weights are kept beside the weights (the Minkowski penalty)
    on_host        whether the device is the machine's processor: DeepSpeed's buffers take no memory there while the
                   forward pass is at its largest, since nothing has been written to them
    bucket         elements of DeepSpeed's buffers
    """

    rows: int
    tokens: int
    steps: int = 1
    compute_dtype: str = "bfloat16"
    zero_stage: int | None = None
    ranks: int = 1
    checkpointing: bool = False
    offload: str = "none"
    frozen_copy: bool = False
    on_host: bool = False
    bucket: int = BUCKET_ELEMENTS

    @property
    def item(self) -> int:
        """Bytes of an element that matrices are multiplied in."""
        return BFLOAT16 if self.compute_dtype == "bfloat16" else FLOAT32


def training_of(settings: Mapping[str, Any], *, rows: int, tokens: int, on_host: bool, **further: Any) -> Training:
    """What a `training` block (of a study, or checked) says of it, with physical batches of `rows` × `tokens`.

    further  fields of `Training` that such a block does not hold
    """
    ranks, stage = settings.get("processes", 1), settings.get("zero_stage")
    sequences = settings["micro_batch"] * settings["micro_batches_per_update"]
    return Training(
        rows=rows,
        tokens=tokens,
        steps=math.ceil(sequences / (rows * ranks)),
        compute_dtype=settings.get("compute_dtype", "bfloat16"),
        zero_stage=None if stage == "none" else stage,
        ranks=ranks,
        checkpointing=settings.get("gradient_checkpointing", False),
        offload=settings.get("offload", "none"),
        on_host=on_host,
        **further,
    )


@dataclass(frozen=True)
class Held:
    """Bytes of one device that do not depend on the batch.

    weights    with ZeRO's float32 masters, gathered weights and the frozen copy;  moments  Adam's
    gradients  whole, or this rank's part, once they are there;  buffers  what gradients are exchanged with
    host       what offloading puts into the host's memory
    """

    weights: float
    moments: float
    gradients: float
    buffers: float
    host: float = 0.0


@dataclass(frozen=True)
class Demand:
    """Bytes of one device.

    held         what does not depend on the batch;  loss  of the output layer, its gradients and a chunk of logits
    activations  of a physical batch, at the end of the forward pass and of a layer made again
    peak         the largest sum of what is there at one time;  at  when that is
    """

    held: Held
    activations: float
    loss: float
    peak: float
    at: str


def layer_bytes(shape: ModelShape, item: int) -> int:
    """Bytes that one layer keeps of a token for its backward pass.

    In float32 the layer's two inputs and what its two norms make of them before their gain (4 h). In the compute dtype
    the inputs of linear maps: 2 h where these share the norms' outputs, 5 h under autocast, which casts them anew for
    each of q, k, v, gate and up; queries and the attention's output (2 heads · head size), keys and values; gate, its
    activation, up and their product (4 intermediate). In float32 the softmax's normalizer of each head, and two norms.
    No attention matrix: kernels without one are used (Dao et al. 2022). Korthikanti et al. count 34 h for a GPT layer
    in 16 bits without the matrix, and with dropout.
    """
    inputs = 2 if item == FLOAT32 else 5
    attention = 2 * shape.head_size * (shape.heads + shape.kv_heads)
    computed = inputs * shape.hidden + attention + 4 * shape.intermediate
    return FLOAT32 * (4 * shape.hidden + shape.heads + 2) + item * computed


def kept_bytes(shape: ModelShape, training: Training) -> float:
    """Bytes of activations at the end of the forward pass: of all layers, or with checkpointing their inputs alone; the
    last norm's input, what it makes of it and its output; under autocast the layers' weights in bfloat16, too.
    """
    tokens = training.rows * training.tokens
    of_layer = FLOAT32 * shape.hidden if training.checkpointing else layer_bytes(shape, training.item)
    kept = tokens * (shape.layers * of_layer + 3 * FLOAT32 * shape.hidden + INT64)
    casts = training.item * shape.layers * shape.layer_weights
    return kept + (0 if training.checkpointing or training.item == FLOAT32 else casts)


def recomputed_bytes(shape: ModelShape, training: Training) -> float:
    """Bytes of the one layer that checkpointing makes anew at a time; 0 without."""
    if not training.checkpointing:
        return 0.0
    casts = 0 if training.item == FLOAT32 else training.item * shape.layer_weights
    return training.rows * training.tokens * layer_bytes(shape, training.item) + casts


def loss_bytes(shape: ModelShape, training: Training) -> float:
    """Bytes of output layer and loss: its inputs, the gradients of these and of its weights, and one chunk's logits.

    Under autocast also its weights and inputs in bfloat16, and the larger of two: the chunk's logits in float32 beside
    those in bfloat16; or its part of the weights' gradient, which a processor turns into float32 before it adds it.
    """
    tokens = training.rows * training.tokens
    chunk = min(tokens, CHUNK_TOKENS) * shape.vocabulary
    found = FLOAT32 * (shape.embedding + tokens * shape.hidden) + training.item * tokens * shape.hidden
    if training.item == FLOAT32:
        return found + FLOAT32 * chunk
    found += training.item * (shape.embedding + chunk + tokens * shape.hidden)
    added = training.item * shape.embedding + (FLOAT32 * shape.embedding if training.on_host else 0)
    return found + max(FLOAT32 * chunk, added)


def training_demand(shape: ModelShape, training: Training) -> Demand:
    """Return what the training takes of each device, at its largest physical batch."""
    held = held_bytes(shape, training)
    kept, loss = kept_bytes(shape, training), loss_bytes(shape, training)
    before = held.gradients if training.steps > 1 or training.zero_stage == 3 else 0.0
    output = FLOAT32 * shape.embedding
    phases = {
        "loss": before + kept + loss,
        "recomputed layer": before + kept + output + recomputed_bytes(shape, training),
        # The embedding's gradient comes last, beside that of the output layer where both are one tensor.
        "end of the backward pass": held.gradients + output * ((training.steps > 1) + shape.tied),
    }
    always = held.weights + held.moments + held.buffers
    return Demand(
        held,
        activations=kept + recomputed_bytes(shape, training),
        loss=loss,
        peak=always + max(phases.values()),
        at=max(phases, key=phases.__getitem__),
    )


def held_bytes(shape: ModelShape, training: Training) -> Held:
    """Return what does not depend on the batch.

    ZeRO's parts: Rajbhandari et al. 2020, §5; what DeepSpeed holds beside them was read in its 0.19.8 and measured.
    """
    whole, stage = FLOAT32 * float(shape.weights), training.zero_stage
    part = whole / training.ranks
    # In the loss, the penalty also keeps the differences from the copy for its backward pass.
    frozen = (part if stage == 3 else 2 * whole) * training.frozen_copy
    if stage not in PARTITIONED:
        # DDP's buckets hold all gradients a second time.
        copies = whole if training.ranks > 1 and stage is None else 0.0
        return Held(whole + frozen, MOMENTS * whole, whole, copies)
    bucket = 0.0 if training.on_host else FLOAT32 * float(training.bucket)
    offloaded, largest = training.offload == "cpu", FLOAT32 * float(shape.embedding)
    if stage == 3:
        gathered = FLOAT32 * float(min(shape.weights, MOST_GATHERED) + min(shape.weights, GATHERED_AT_ONCE))
        if offloaded:  # weights, masters, moments; gradients as they come and as they are used
            return Held(gathered + frozen, 0.0, 0.0, bucket, host=(2 + MOMENTS + 2) * part)
        return Held(2 * part + gathered + frozen, MOMENTS * part, part, bucket)
    bucket *= 2  # gradients of the step before keep its buffer
    if offloaded:
        # Masters, moments, gradients, the weights' way back and the sum over steps; a buffer of the largest tensor on
        # each side.
        host = (1 + MOMENTS + 2 + (training.steps > 1)) * part + largest
        return Held(whole + frozen, 0.0, whole if stage == 1 else 0.0, bucket + largest, host)
    return Held(whole + part + frozen, MOMENTS * part, whole if stage == 1 else part, bucket)
