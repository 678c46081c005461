"""The networks: BiSeNet parses a face, Tri-UNet fuses three views, RedNet regresses the coefficients (paper III).

Table IV compares them with `CNNFusion`, `UNet` and `ResNet`.
"""
