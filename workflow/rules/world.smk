"""
The generated world of a study without downloads: corpus, instruction data, benchmarks, small ptlms and a judge.
Only what the study uses of it is made: a model of your own pretrains none, and where no answers are judged, no judge is
trained.
Nothing after this file knows that they are generated: studies name these files like any other local path.

REQUIRED INPUTS:  none (a seed and sizes in the study's `world` section)
OUTPUTS:          results/STUDY/world/{corpus.jsonl,instruct/,benchmarks/,judge/,tokenizer/,ptlms/,…}
"""

WORLD = STUDY.get("world", {"seed": 0, "ptlms": {}, "judge": {}})
WORLD_PTLMS = design.world_ptlms(STUDY, RUNS.values())
# What the report says of the judge.
JUDGE_RECORD = layout.results(STUDY, "world/judge_model/judge.json") if design.judged_by_world(STUDY) else []


rule make_world:
    """A small consistent world, and from it everything that a study reads."""
    output:
        corpus="results/{study}/world/corpus.jsonl",
        instruct=expand(
            "results/{{study}}/world/instruct/{character}.jsonl",
            character=["plain", "cleaned", "dialog", "balanced"],
        ),
        benchmarks=expand(
            "results/{{study}}/world/benchmarks/{file}",
            file=[
                "arc_challenge.train.jsonl",
                "arc_challenge.test.jsonl",
                "piqa.validation.jsonl",
                "truthfulqa_mc.validation.jsonl",
                "truthfulqa_gen.validation.jsonl",
                "truthfulqa.preamble.txt",
                "winogrande.train.jsonl",
                "winogrande.validation.jsonl",
                "wmt14.fr-en.validation.jsonl",
                "wmt14.fr-en.test.jsonl",
                "wmt16.de-en.validation.jsonl",
                "wmt16.de-en.test.jsonl",
                "wmt16.ro-en.validation.jsonl",
                "wmt16.ro-en.test.jsonl",
                "alpaca_eval.reference.jsonl",
                "pandalm.jsonl",
            ],
        ),
        judge=expand("results/{{study}}/world/judge/{split}.jsonl", split=["train", "heldout"]),
    log:
        "results/{study}/logs/make_world.log",
    conda:
        "../../envs/workflow.yaml"
    params:
        version=1,
        seed=WORLD["seed"],
        size=as_json(WORLD.get("size", {})),
    shell:
        "$PLW_PYTHON scripts/world/make_world.py --seed {params.seed} --size {params.size:q}"
        " --out results/{wildcards.study}/world > {log:q} 2>&1"


rule train_tokenizer:
    """The byte-pair tokenizer of the world's models."""
    input:
        corpus="results/{study}/world/corpus.jsonl",
        instructions=expand(
            "results/{{study}}/world/instruct/{character}.jsonl",
            character=["plain", "cleaned", "dialog", "balanced"],
        ),
        prompts="config/judges/demo_alpaca_eval.txt",
    output:
        directory("results/{study}/world/tokenizer"),
    log:
        "results/{study}/logs/train_tokenizer.log",
    conda:
        "../../envs/workflow.yaml"
    params:
        version=1,
        vocabulary=WORLD.get("vocabulary", 1200),
    shell:
        "$PLW_PYTHON scripts/world/train_tokenizer.py --corpus {input.corpus:q} --instructions {input.instructions:q}"
        " --prompts {input.prompts:q} --vocabulary {params.vocabulary} --out {output:q} > {log:q} 2>&1"


rule pretrain_model:
    """A small LLaMA-architecture model on the world's corpus."""
    input:
        corpus="results/{study}/world/corpus.jsonl",
        tokenizer="results/{study}/world/tokenizer",
    output:
        config="results/{study}/world/ptlms/{ptlm}/config.json",
        weights="results/{study}/world/ptlms/{ptlm}/model.safetensors",
        curve="results/{study}/world/ptlms/{ptlm}/pretraining.csv",
    log:
        "results/{study}/logs/pretrain_model/{ptlm}.log",
    benchmark:
        "results/{study}/times/pretrain_model/{ptlm}.tsv"
    priority: 100  # everything waits for the ptlms
    conda:
        "../../envs/workflow.yaml"
    params:
        version=1,
        pretraining=lambda wildcards: as_json(WORLD["ptlms"][wildcards.ptlm]),
    shell:
        "$PLW_PYTHON scripts/world/pretrain_model.py --corpus {input.corpus:q} --tokenizer {input.tokenizer:q}"
        " --pretraining {params.pretraining:q} --threads {threads}"
        " --out results/{wildcards.study}/world/ptlms/{wildcards.ptlm} > {log:q} 2>&1"


rule train_judge:
    """A small judge of both prompt forms, trained on pairs of a good and a worse answer."""
    input:
        train="results/{study}/world/judge/train.jsonl",
        heldout="results/{study}/world/judge/heldout.jsonl",
        tokenizer="results/{study}/world/tokenizer",
        prompt="config/judges/demo_alpaca_eval.txt",
        start=f"results/{{study}}/world/ptlms/{WORLD['judge'].get('init', 'none')}/config.json",
        weights=lambda wildcards: weights_inputs(
            f"results/{STUDY_NAME}/world/judge_model/judge.json", WORLD["judge"].get("init", "none")
        ),
    output:
        config="results/{study}/world/judge_model/config.json",
        weights="results/{study}/world/judge_model/model.safetensors",
        record="results/{study}/world/judge_model/judge.json",
    log:
        "results/{study}/logs/train_judge.log",
    benchmark:
        "results/{study}/times/train_judge.tsv"
    priority: 50
    conda:
        "../../envs/workflow.yaml"
    params:
        version=2,
        start=lambda wildcards, input: str(Path(input.start).parent),
        training=as_json(WORLD["judge"].get("training", {})),
    shell:
        "$PLW_PYTHON scripts/world/train_judge.py --data {input.train:q} --heldout {input.heldout:q}"
        " --tokenizer {input.tokenizer:q} --init {params.start:q} --training {params.training:q}"
        " --alpaca-eval-prompt {input.prompt:q} --threads {threads}"
        " --out results/{wildcards.study}/world/judge_model > {log:q} 2>&1"
