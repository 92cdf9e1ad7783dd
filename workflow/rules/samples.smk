"""What the networks write."""


rule sample_text:
    input:
        corpus=corpus_of,
        weights=f"{RESULTS}/models/{{experiment}}/{{regularisation}}/weights.safetensors",
        description=f"{RESULTS}/models/{{experiment}}/{{regularisation}}/config.json",
    output:
        sample=f"{RESULTS}/samples/{{experiment}}/{{regularisation}}.txt",
        extract=f"{RESULTS}/samples/{{experiment}}/{{regularisation}}.real.txt",
    params:
        folder=lambda w: model(w.experiment, w.regularisation),
        symbols=config["samples"]["text"]["symbols"],
        temperature=config["samples"]["text"]["temperature"],
        prime=config["samples"]["text"]["prime"],
        seed=config["seed"],
    log:
        f"{RESULTS}/logs/sample_text/{{experiment}}.{{regularisation}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/sample_text/{{experiment}}.{{regularisation}}.tsv"
    message:
        "text from {wildcards.experiment}, {wildcards.regularisation}"
    threads: 1
    resources:
        mem_mb=2000,
    shell:
        "python -m pipeline.sample_text --model {params.folder} --corpus {input.corpus} --symbols {params.symbols}"
        " --temperature {params.temperature} --prime {params.prime:q} --seed {params.seed}"
        " --output {output.sample} --extract {output.extract} > {log} 2>&1"
