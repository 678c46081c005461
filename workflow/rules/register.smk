"""Register the reconstructions to the scans.

needs   results/reconstruct/{method}/{dataset}/    meshes with seven landmarks
        results/align/{dataset}/manifest.parquet   the test samples and their scans
        results/mesh/{dataset}/scans/              these scans
gives   results/register/{method}/{dataset}.npz    transform from each prediction to its scan
"""


rule register_meshes:
    """Register by seven points, then by ICP on the front of the face."""
    input:
        code=code("register.command"),
        aligned="<results>/align/{dataset}",
        scans="<results>/mesh/{dataset}/scans",
        meshes="<results>/reconstruct/{method}/{dataset}",
    output:
        "<results>/register/{method}/{dataset}.npz",
    log:
        "<logs>/register/{method}_{dataset}.log",
    benchmark:
        "<benchmarks>/register/{method}_{dataset}.jsonl"
    params:
        settings=study.register_.as_json(
            exclude={"protocols": {"__all__": {"statistic"}}}
        ),
    message:
        "Register {wildcards.method} to the scans of {wildcards.dataset}"
    shell:
        "dfmvr register --settings {params.settings:q} --meshes {input.meshes:q}/meshes"
        " --manifest {input.aligned:q}/manifest.parquet"
        " --output {output:q} &> {log:q}"
