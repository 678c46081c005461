"""Register the reconstructions to the scans.

needs   results/reconstruct/{method}/{dataset}/    meshes with seven landmarks
        results/align/{dataset}/manifest.parquet   the test samples and their scans
        results/mesh/bosphorus/                    meshes of scans that are range images
gives   results/register/{method}/{dataset}.npz    transform from each prediction to its scan
"""


rule register_meshes:
    """Register by seven points, then by ICP on the front of the face."""
    input:
        code=code("register.command"),
        aligned="<results>/align/{dataset}",
        scans=scans_of,
        meshes="<results>/reconstruct/{method}/{dataset}",
    output:
        "<results>/register/{method}/{dataset}.npz",
    log:
        "<logs>/register/{method}_{dataset}.log",
    benchmark:
        "<benchmarks>/register/{method}_{dataset}.jsonl"
    params:
        scans=lambda wildcards, input: f"--scans {input.scans}" if input.scans else "",
        settings=study.register_.as_json(),
    message:
        "Register {wildcards.method} to the scans of {wildcards.dataset}"
    shell:
        "dfmvr register --settings {params.settings:q} --meshes {input.meshes:q}/meshes"
        " --manifest {input.aligned:q}/manifest.parquet {params.scans}"
        " --output {output:q} &> {log:q}"
