"""Score the registered reconstructions.

needs   results/reconstruct/{method}/{dataset}/      meshes
        results/align/{dataset}/manifest.parquet     the test samples and their scans
        results/mesh/{dataset}/scans/                these scans
        results/register/{method}/{dataset}.npz      transforms
gives   results/score/{method}/{dataset}.parquet     errors in mm, one row a sample, protocol and region
"""


rule score_meshes:
    """Measure the point-to-plane error of every sample."""
    input:
        code=code("score.command"),
        aligned="<results>/align/{dataset}",
        scans="<results>/mesh/{dataset}/scans",
        meshes="<results>/reconstruct/{method}/{dataset}",
        registration="<results>/register/{method}/{dataset}.npz",
        model="<results>/face_model/face_model.npz",
    output:
        "<results>/score/{method}/{dataset}.parquet",
    log:
        "<logs>/score/{method}_{dataset}.log",
    benchmark:
        "<benchmarks>/score/{method}_{dataset}.jsonl"
    params:
        settings=study.register_.as_json(include={"protocols"}),
    message:
        "Score {wildcards.method} on {wildcards.dataset}"
    shell:
        "dfmvr score --settings {params.settings:q} --meshes {input.meshes:q}/meshes"
        " --manifest {input.aligned:q}/manifest.parquet"
        " --registration {input.registration:q} --face-model {input.model:q} --method {wildcards.method}"
        " --dataset {wildcards.dataset} --output {output:q} &> {log:q}"


rule score_real_scan:
    """Score a reconstruction of the head scan: the same registration and error, two meshes alone."""
    input:
        code=code("score.two_meshes"),
        photographs="<results>/simulate/real_scan",
        face="<results>/reconstruct/{method}/real_scan",
    output:
        "<results>/score/{method}/real_scan.json",
    log:
        "<logs>/score/{method}_real_scan.log",
    params:
        settings=study.register_.as_json(),
    message:
        "Score {wildcards.method} on the head scan"
    shell:
        "dfmvr score two_meshes --settings {params.settings:q} --prediction {input.face:q}/face.ply"
        " --prediction-landmarks {input.face:q}/face.landmarks.csv"
        " --ground-truth {input.photographs:q}/scan.ply"
        " --ground-truth-landmarks {input.photographs:q}/scan.landmarks.csv --output {output:q} &> {log:q}"
