"""attention-sampling 0.2, in an environment of its own: plain scripts, which import nothing of this repository.

The library runs beside TensorFlow 1 only, under Python 3.7. Its environment is made by

    python3.7 -m venv ENV && ENV/bin/pip install 'setuptools<60' wheel
    ENV/bin/pip install tensorflow==1.15.5 keras==2.2.4 'h5py<3' 'protobuf<3.21' 'numpy<1.19' 'scikit-image<0.18' 'cmake<4'
    PATH=ENV/bin:$PATH TF_COMPILER_VERSION_OVERRIDE=1 ENV/bin/pip install --no-build-isolation attention-sampling==0.2

with the system's g++. Experiments take `ENV/bin/python` as `--reference`, and run these files by their paths with it.
`images.py` and `training.py` serve our own side, too.
"""
