"""Collections of the model zoo: a paper each, and how the names of its configs begin."""

from dataclasses import dataclass

from mmeff.errors import UserError


@dataclass(frozen=True)
class Collection:
    """Models of one paper.

    Attributes:
        name: As it is printed.
        starts: How the names of its configs begin.
        page: Its page in docs/.
        title, arxiv: Of the paper.
    """

    name: str
    starts: tuple[str, ...]
    page: str
    title: str
    arxiv: str

    @property
    def metafile(self) -> str:
        return f'configs/{self.name.lower()}/metafile.yml'


# A config belongs to the collection with the longest beginning that fits.
COLLECTIONS = (
    Collection(
        'DenseNet',
        ('densenet_',),
        'densenet',
        'Densely Connected Convolutional Networks',
        '1608.06993',
    ),
    Collection(
        'DSOD',
        ('dsod',),
        'dsod',
        'DSOD: Learning Deeply Supervised Object Detectors from Scratch',
        '1708.01241',
    ),
    Collection(
        'EfficientNet',
        ('efficientnet_',),
        'efficientnet',
        'EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks',
        '1905.11946',
    ),
    Collection(
        'G-GhostNet',
        ('g-ghost',),
        'g_ghost_regnet',
        'GhostNets on Heterogeneous Devices via Cheap Operations',
        '2201.03297',
    ),
    Collection(
        'GhostNet',
        ('ghost', 'ssdlite320_ghostnet'),
        'ghostnet',
        'GhostNet: More Features from Cheap Operations',
        '1911.11907',
    ),
    Collection(
        'MobileNetV1',
        ('mobilenetv1_',),
        'mobilenet',
        'MobileNets: Efficient Convolutional Neural Networks for Mobile Vision '
        'Applications',
        '1704.04861',
    ),
    Collection(
        'MobileNetV2',
        ('mobilenetv2_', 'ssdlite'),
        'mobilenet',
        'MobileNetV2: Inverted Residuals and Linear Bottlenecks',
        '1801.04381',
    ),
    Collection(
        'MobileNetV3',
        ('mobilenetv3_',),
        'mobilenet',
        'Searching for MobileNetV3',
        '1905.02244',
    ),
    Collection(
        'Pelee',
        ('pelee',),
        'peleenet',
        'Pelee: A Real-Time Object Detection System on Mobile Devices',
        '1804.06882',
    ),
    Collection(
        'RefineDet',
        ('refinedet',),
        'refinedet',
        'Single-Shot Refinement Neural Network for Object Detection',
        '1711.06897',
    ),
    Collection(
        'ShuffleNetV2',
        ('shufflenetv2_', 'ssdlite320_shufflenetv2'),
        'shufflenet_v2',
        'ShuffleNet V2: Practical Guidelines for Efficient CNN Architecture Design',
        '1807.11164',
    ),
    Collection(
        'SSD', ('ssd',), 'ssd', 'SSD: Single Shot MultiBox Detector', '1512.02325'
    ),
    Collection(
        'VoVNet',
        ('vovnet',),
        'vovnet',
        'An Energy and GPU-Computation Efficient Backbone Network for Real-Time Object '
        'Detection',
        '1904.09730',
    ),
    Collection(
        'VoVNetV2',
        ('vovnet-v2',),
        'vovnet',
        'CenterMask: Real-Time Anchor-Free Instance Segmentation',
        '1911.06667',
    ),
)


def collection_of(config: str) -> Collection:
    """The collection that a config belongs to, by its name.

    Raises:
        UserError: There is none.
    """
    fitting = [
        (len(start), collection)
        for collection in COLLECTIONS
        for start in collection.starts
        if config.startswith(start)
    ]
    if not fitting:
        known = ', '.join(start for c in COLLECTIONS for start in c.starts)
        raise UserError(
            f'configs/{config}.py belongs to no collection: expected a name that begins '
            f'with one of {known}; add one to COLLECTIONS in mmeff/zoo/collections.py'
        )
    return max(fitting, key=lambda pair: pair[0])[1]
