//! ZC14xx: the node daemon and the plugin of kubectl.

codes! {
    API_SERVER = "ZC1401" {
        title: "the API server cannot be asked",
        cause: "`zerocap node watch` has no address, certificate or token for the Kubernetes API: it does not run in a pod with a service account, and none of --server, --certificate-authority and --token-file says otherwise.",
        cure: "Run it as the chart does, or give all three.",
        example: "KUBERNETES_SERVICE_HOST is not set: this is no pod",
    }
    LISTEN_ADDRESS = "ZC1402" {
        title: "address for numbers and reports cannot be used",
        cause: "The address of --listen is no loopback address, or that of --listen or --metrics-listen is taken. At --listen nobody is asked who they are, so the network must not reach it.",
        cure: "Write --listen 127.0.0.1:PORT with another port, which `kubectl port-forward` reaches. For the network there is --metrics-listen, over HTTPS and with a token.",
        example: "zerocap node watch --listen 0.0.0.0:9464",
    }
    NODE_NAME = "ZC1403" {
        title: "not a node's name",
        cause: "A node's name has small letters, digits, dots and dashes, at most 253 of them.",
        cure: "Write the name that `kubectl get nodes` shows; in a pod it is spec.nodeName of the downward API.",
        example: "zerocap node watch --node 'a,b'",
    }
    KUBECTL = "ZC1404" {
        title: "kubectl said no",
        cause: "The plugin asks through kubectl, with your own context and rights, and kubectl failed.",
        cure: "Read its words in the message; `kubectl auth can-i get pods` shows what you may see.",
        example: "kubectl get pods: pods is forbidden",
    }
    NOT_A_POD = "ZC1405" {
        title: "no pod in what was read",
        cause: "The file is not what `kubectl get pods -o json` prints, or has no pod of that name.",
        cure: "Write the pod's name and -n NAMESPACE; with --from, give kubectl's own output.",
        example: "kubectl zerocap status --from pods.json nginx",
    }
    NO_DAEMON = "ZC1406" {
        title: "no report of this pod can be had",
        cause: "The node daemon of the pod's node is not there, cannot be forwarded to, or does not know the pod.",
        cure: "Look at `kubectl get pods -n NAMESPACE -l app.kubernetes.io/component=node-daemon`; name its namespace with --daemon-namespace. It takes the right to create pods/portforward there.",
        example: "kubectl zerocap status restricted --report",
    }
    CERTIFICATE = "ZC1407" {
        title: "certificate for the numbers cannot be used",
        cause: "A file of --metrics-certificate or --metrics-key cannot be read, is no PEM, or the two do not fit.",
        cure: "Give a certificate and its key, as a Secret of type kubernetes.io/tls has them; or neither, and the daemon makes one for itself at each start.",
        example: "zerocap node watch --metrics-listen [::]:9465 --metrics-certificate tls.crt --metrics-key tls.key",
    }
}
