"""
From instruction data as published to instances, statistics and the pre-flight table (§4.3, App. A).

REQUIRED INPUTS:  the sources of the study's data sets (local files, Hub or pinned addresses)
OUTPUTS:          results/STUDY/data/DATASET/{instances.jsonl,rows.json,statistics.json,preflight.json}
Local rules: they are small, and a cluster's compute nodes often have no network to fetch data sets and tokenizers by.
"""


rule prepare_dataset:
    """Read a data set, or derive it from another by prompt inversion (App. A); what was left out is said on the terminal."""
    input:
        lambda wildcards: inputs.dataset_files(STUDY, wildcards.dataset),
        tokenizer=lambda wildcards: tokenizer_inputs(
            f"results/{STUDY_NAME}/data/{wildcards.dataset}/instances.jsonl",
            inputs.inverting_tokenizer_files(STUDY, wildcards.dataset),
        ),
    output:
        instances="results/{study}/data/{dataset}/instances.jsonl",
        rows="results/{study}/data/{dataset}/rows.json",
    log:
        "results/{study}/logs/prepare_dataset/{dataset}.log",
    localrule: True
    conda:
        "../../envs/workflow.yaml"
    params:
        dataset=lambda wildcards: EARLIER.text(
            f"results/{STUDY_NAME}/data/{wildcards.dataset}/instances.jsonl",
            parameters.dataset_entry(STUDY, wildcards.dataset),
            left_out=parameters.DESCRIBING["datasets"],
        ),
        parent=lambda wildcards, input: (
            f"--parent {input[0]}" if "from" in STUDY["datasets"][wildcards.dataset] else ""
        ),
        tokenizer=as_json(inputs.counting_tokenizer(STUDY)),
    shell:
        "$PLW_PYTHON scripts/data/prepare_dataset.py --name {wildcards.dataset} --dataset {params.dataset:q} {params.parent}"
        " --tokenizer {params.tokenizer:q} --instances {output.instances:q} --rows {output.rows:q} > {log:q} 2>&1"
        " && sed -n 's/^Data set /&/p' {log:q} >&2"


rule describe_dataset:
    """Table 1's row of a data set, and what truncation and tokenisation do to it."""
    input:
        instances="results/{study}/data/{dataset}/instances.jsonl",
        tokenizer=lambda wildcards: tokenizer_inputs(
            f"results/{STUDY_NAME}/data/{wildcards.dataset}/statistics.json", inputs.counting_tokenizer_files(STUDY)
        ),
        training_tokenizer=lambda wildcards: tokenizer_inputs(
            f"results/{STUDY_NAME}/data/{wildcards.dataset}/statistics.json",
            inputs.tokenizer_files(STUDY, STUDY["ptlms"][STUDY["tokenizer_of"]]["source"]),
        ),
    output:
        statistics="results/{study}/data/{dataset}/statistics.json",
        preflight="results/{study}/data/{dataset}/preflight.json",
    log:
        "results/{study}/logs/describe_dataset/{dataset}.log",
    localrule: True
    conda:
        "../../envs/workflow.yaml"
    params:
        tokenizer=as_json(inputs.counting_tokenizer(STUDY)),
        training_tokenizer=parameters.ptlm_source(STUDY, STUDY["tokenizer_of"]),
        encoding=parameters.encoding_settings(STUDY),
    shell:
        "$PLW_PYTHON scripts/data/describe_dataset.py --name {wildcards.dataset} --instances {input.instances:q}"
        " --tokenizer {params.tokenizer:q} --training-tokenizer {params.training_tokenizer:q}"
        " --max-length {params.encoding} --statistics {output.statistics:q} --preflight {output.preflight:q}"
        " > {log:q} 2>&1"
