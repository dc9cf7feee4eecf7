# SPDX-License-Identifier: GPL-2.0-only
"""For PYTHONPATH: pyverbs 56 to 65 cannot make any DmaBufMR, whatever the device.

Once the memory region is registered, its constructor calls DmaBuf.add_ref(), which
Cython hides from a caller that does not know the type (rdma-core/0002 is the fix).
This gives the class an add_ref() that can be seen. It notes nothing, which matters
only to a program that closes a DmaBuf before its memory regions; the tests do not.
"""
import ctypes
import gc

from pyverbs.dmabuf import DmaBuf

if not hasattr(DmaBuf, "add_ref"):
    (members,) = gc.get_referents(DmaBuf.__dict__)
    members["add_ref"] = lambda self, region: None
    ctypes.pythonapi.PyType_Modified(ctypes.py_object(DmaBuf))
