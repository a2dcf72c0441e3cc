#!/bin/bash
# Runs on each new GPU node: OKE's own script, with the taint that OKE's node pools cannot be given, after the root volume
# was grown to what was asked for.
set -euo pipefail

/usr/libexec/oci-growfs -y
curl --fail --header "Authorization: Bearer Oracle" --location \
    http://169.254.169.254/opc/v2/instance/metadata/oke_init_script | base64 --decode > /var/run/oke-init.sh
bash /var/run/oke-init.sh --kubelet-extra-args "--register-with-taints=nvidia.com/gpu=present:NoSchedule"
