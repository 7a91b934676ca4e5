# A config below a folder of mmeff's configs/.
_base_ = 'mmeff::_base_/default_runtime.py'

model = dict(type='mmeff.VoVNet', arch='27-slim')
