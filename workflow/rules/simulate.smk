"""Write the stand-in data sets in the layouts of the real ones.

needs   results/face_model/heads.npz
gives   results/simulate/{dataset}/   photographs, scans and annotations
        results/simulate/real_scan/   a real head scan photographed, where one is configured
"""


rule simulate_dataset:
    """Photograph and scan simulated people, in the layout of the data set that they stand in for."""
    input:
        code=lambda wildcards: code("simulate.command", f"simulate.{wildcards.dataset}"),
        heads="<results>/face_model/heads.npz",
    output:
        directory("<results>/simulate/{dataset}"),
    log:
        "<logs>/simulate/{dataset}.log",
    benchmark:
        "<benchmarks>/simulate/{dataset}.jsonl"
    threads: 1
    params:
        settings=lambda wildcards: study.simulate.for_dataset(wildcards.dataset),
        listing=lambda wildcards: listing_of(
            study.simulate.ict_facekit
            if wildcards.dataset == "pixel_face_ict"
            else None
        ),
    message:
        "Simulate {wildcards.dataset}"
    shell:
        "dfmvr simulate --settings {params.settings:q} --dataset {wildcards.dataset} --heads {input.heads:q}"
        " --workers {threads} --output {output:q} &> {log:q}"


rule photograph_real_scan:
    """Photograph a real head scan from left, front and right."""
    input:
        code=code("simulate.real_scan"),
        scan=study.simulate.real_scan or [],
    output:
        directory("<results>/simulate/real_scan"),
    log:
        "<logs>/simulate/real_scan.log",
    params:
        settings=study.simulate.for_dataset("real_scan"),
        listing=lambda wildcards: listing_of(study.simulate.real_scan),
    message:
        "Photograph the head scan {input.scan}"
    shell:
        "dfmvr simulate real_scan --settings {params.settings:q} --output {output:q} &> {log:q}"
