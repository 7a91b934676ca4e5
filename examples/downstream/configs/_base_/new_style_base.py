from mmeff.models import VoVNet

model = dict(type=VoVNet, arch='39', out_indices=(0, 1))
