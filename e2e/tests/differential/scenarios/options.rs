//! The runtime's options, and the rootfs.

use std::fs;

use containerd_shim_protos::api::{CreateTaskRequest, Mount};
use containerd_shim_protos::protobuf::MessageField;

use super::execs::end;
use super::{Outcome, scenarios};
use zerocap_e2e::task::{Run, groups};

scenarios! { "options":
    both no_new_keyring "NoNewKeyring";
    plain no_pivot_root "NoPivotRoot";
    both io_owner "IoUid and IoGid: who owns the pipes";
    both engine_root "Root: where the engine keeps its state";
    both shim_cgroup "ShimCgroup and the score of the shim";
    both descriptors "how many descriptors the shim may have, and how many its containers begin with";
    both rootfs_mounts "a rootfs that the shim mounts, and what is left of it";
    both rootfs_layers "a rootfs of many layers, whose paths do not fit into one mount";
    both rootfs_helper "a rootfs in user space, which its own program mounts";
    both empty_options "no options at all";
    both criu_options "CriuPath, CriuImagePath and CriuWorkPath change nothing in an ordinary container";
}

async fn with_options(run: &Run, edit: impl FnOnce(&mut containerd_shim_protos::shim::oci::Options)) -> Outcome {
    run.bundle("c", &["sleep", "1000"], |_| {})?;
    let request = CreateTaskRequest { options: MessageField::some(run.options(edit)), ..run.request("c") };
    run.create_with(request).await;
    run.start_process("c", "").await;
    Ok(())
}

async fn no_new_keyring(run: &Run) -> Outcome {
    with_options(run, |options| options.no_new_keyring = true).await?;
    end(run).await
}

async fn no_pivot_root(run: &Run) -> Outcome {
    with_options(run, |options| options.no_pivot_root = true).await?;
    run.exec_whole("c", "e", &["true"]).await;
    end(run).await
}

async fn io_owner(run: &Run) -> Outcome {
    let out = super::streams::fifo(run, "out")?;
    let reader = super::streams::Reader::of(&out);
    run.bundle("c", &["sh", "-c", "stat -L -c %u:%g /proc/self/fd/1"], |_| {})?;
    let options = run.options(|options| (options.io_uid, options.io_gid) = (1234, 5678));
    let request = CreateTaskRequest {
        options: MessageField::some(options),
        stdout: out.display().to_string(),
        stderr: super::streams::NOWHERE.into(),
        ..run.request("c")
    };
    run.create_with(request).await;
    run.start_process("c", "").await;
    run.wait("c", "").await;
    run.delete("c", "").await;
    run.note(&format!("owners {:?}", String::from_utf8_lossy(&reader.all().await?)));
    run.event("/tasks/delete", 1).await
}

async fn engine_root(run: &Run) -> Outcome {
    let root = run.dir.join("other-root");
    with_options(run, |options| options.root = root.display().to_string()).await?;
    run.note(&format!("state is there: {}", root.join("differential/c").exists()));
    run.exec_whole("c", "e", &["true"]).await;
    end(run).await?;
    run.note(&format!("state is there: {}", root.join("differential/c").exists()));
    Ok(())
}

async fn shim_cgroup(run: &Run) -> Outcome {
    // A shim of its own: the option counts at `start`.
    run.bundle("d", &["true"], |config| {
        config["annotations"]["io.containerd.runc.v2.group"] = "another".into();
    })?;
    let group = format!("{}-shim", run.groups.path("d"));
    for root in groups::roots() {
        let _ = fs::create_dir_all(format!("{}{group}", root.display()));
        // A new v1 cpuset takes no process before it has some.
        for file in ["cpuset.cpus", "cpuset.mems"] {
            for path in [run.groups.parent(), &group] {
                if let Ok(value) = fs::read_to_string(root.join(file)) {
                    let _ = fs::write(format!("{}{path}/{file}", root.display()), value);
                }
            }
        }
    }
    let options = run.options(|options| options.shim_cgroup = group.clone());
    let (answer, _) = run.call_binary("d", "start", &options)?;
    let task = zerocap_e2e::task::client(&zerocap_e2e::task::bootstrap::address(&answer)?).await?;
    let known =
        task.connect(zerocap_e2e::task::soon(), &Default::default()).await.map_err(|error| error.to_string())?;
    let membership = fs::read_to_string(format!("/proc/{}/cgroup", known.shim_pid)).unwrap_or_default();
    let mut inside: Vec<_> = membership.lines().filter(|line| line.ends_with(&group)).collect();
    inside.sort_unstable();
    let controllers: Vec<_> = inside.iter().filter_map(|line| line.split(':').nth(1)).collect();
    run.note(&format!("the shim is in its group of {controllers:?}"));
    let score =
        |pid: &str| fs::read_to_string(format!("/proc/{pid}/oom_score_adj")).unwrap_or_default().trim().parse::<i32>();
    let (own, shim) = (score("self").unwrap_or(0), score(&known.shim_pid.to_string()).unwrap_or(0));
    run.note(&format!("its score is ours plus {}", shim - own));
    // It may be gone before its answer is.
    let _ = task.shutdown(zerocap_e2e::task::soon(), &Default::default()).await;
    zerocap_e2e::task::until("the shim's end", || !zerocap_e2e::task::alive(known.shim_pid)).await?;
    let groups = || groups::roots().into_iter().map(|root| format!("{}{group}", root.display()));
    // The last process leaves its group a moment after its end.
    zerocap_e2e::task::until("the groups' end", || {
        groups().for_each(|group| drop(fs::remove_dir(group)));
        groups().all(|group| !std::path::Path::new(&group).exists())
    })
    .await?;
    Ok(())
}

async fn descriptors(run: &Run) -> Outcome {
    let limits = fs::read_to_string(format!("/proc/{}/limits", run.shim_pid())).map_err(|e| e.to_string())?;
    let files = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap_or_default();
    let files = files.split_whitespace().next().and_then(|soft| soft.parse::<u64>().ok());
    run.note(&format!("the shim may have more than it began with: {}", files.is_none_or(|files| files > 1024)));
    let out = run.dir.join("out");
    run.bundle("c", &["sh", "-c", "ulimit -n; sleep 1000"], |_| {})?;
    let mut request = run.request("c");
    request.stdout = format!("file://{}", out.display());
    request.stderr = request.stdout.clone();
    run.create_with(request).await;
    run.start_process("c", "").await;
    let mut request = run.exec_request("c", "e", &["sh", "-c", "ulimit -n"]);
    request.stdout = format!("file://{}", out.display());
    request.stderr = request.stdout.clone();
    let said = || fs::read_to_string(&out).unwrap_or_default();
    zerocap_e2e::task::until("the container's limit", || said().ends_with('\n')).await?;
    run.exec_with(request).await;
    run.start_process("c", "e").await;
    run.wait("c", "e").await;
    run.delete("c", "e").await;
    run.note(&format!("the container and an exec begin with {:?}", said()));
    end(run).await
}

async fn rootfs_mounts(run: &Run) -> Outcome {
    let image = run.bundle_of("c").join("image");
    zerocap_e2e::task::spec::rootfs(&image, std::path::Path::new(&format!("{}/busybox", zerocap_e2e::task::BASE)))
        .map_err(|e| e.to_string())?;
    let mount = |options: &[&str]| Mount {
        type_: "bind".into(),
        source: image.display().to_string(),
        options: options.iter().map(|&option| option.to_owned()).collect(),
        ..Mount::default()
    };
    run.bundle("c", &["sleep", "1000"], |_| {})?;
    let request = CreateTaskRequest { rootfs: vec![mount(&["rbind", "rw"])], ..run.request("c") };
    run.create_with(request).await;
    run.start_process("c", "").await;
    let mounted = |run: &Run| run.left().iter().filter(|left| left.contains("mount")).count();
    run.note(&format!("{} mounts", mounted(run)));
    end(run).await?;
    run.note(&format!("{} mounts", mounted(run)));
    Ok(())
}

async fn rootfs_layers(run: &Run) -> Outcome {
    let folder = run.dir.join("a-folder-with-a-name-as-long-as-those-of-containerds-snapshotters-are");
    let image = folder.join("0");
    zerocap_e2e::task::spec::rootfs(&image, std::path::Path::new(&format!("{}/busybox", zerocap_e2e::task::BASE)))
        .map_err(|e| e.to_string())?;
    let mut layers = vec![image.display().to_string()];
    for layer in 1..60 {
        let path = folder.join(layer.to_string());
        fs::create_dir_all(&path)
            .and_then(|()| fs::write(path.join(format!("file{layer}")), ""))
            .map_err(|e| e.to_string())?;
        layers.push(path.display().to_string());
    }
    let own = ["upper", "work"].map(|name| folder.join(name));
    own.iter().try_for_each(fs::create_dir_all).map_err(|e| e.to_string())?;
    let [upper, work] = own.map(|path| path.display().to_string());
    layers.reverse();
    let options = vec![
        "index=off".into(),
        format!("workdir={work}"),
        format!("upperdir={upper}"),
        format!("lowerdir={}", layers.join(":")),
    ];
    let overlay = Mount { type_: "overlay".into(), source: "overlay".into(), options, ..Mount::default() };
    let at = || fs::read_link(format!("/proc/{}/cwd", run.shim_pid()));
    let before = at().map_err(|e| e.to_string())?;
    run.bundle("c", &["sh", "-c", "set -- /file*; echo $# >/tmp/count; sleep 1000"], |_| {})?;
    let request = CreateTaskRequest { rootfs: vec![overlay], ..run.request("c") };
    run.create_with(request).await;
    run.start_process("c", "").await;
    let count = || fs::read_to_string(format!("{upper}/tmp/count")).unwrap_or_default();
    zerocap_e2e::task::until("the count", || count().ends_with('\n')).await?;
    run.note(&format!("the files of {} layers", count().trim()));
    run.note(&format!("the shim is where it was: {}", at().is_ok_and(|now| now == before)));
    end(run).await
}

async fn rootfs_helper(run: &Run) -> Outcome {
    use std::os::unix::fs::PermissionsExt;
    let bin = run.dir.join("bin");
    let asked = run.dir.join("asked");
    let program = bin.join("mount.fuse3");
    let script = format!(
        "#!/bin/sh\necho \"$@\" >>{}\n[ -d \"$1\" ] || {{ echo no image; exit 7; }}\nexec mount --bind \"$1\" \"$2\"\n",
        asked.display()
    );
    let made = fs::create_dir_all(&bin)
        .and_then(|()| fs::write(&program, script))
        .and_then(|()| fs::set_permissions(&program, fs::Permissions::from_mode(0o755)));
    made.map_err(|e| e.to_string())?;
    let image = run.bundle_of("c").join("image");
    zerocap_e2e::task::spec::rootfs(&image, std::path::Path::new(&format!("{}/busybox", zerocap_e2e::task::BASE)))
        .map_err(|e| e.to_string())?;
    let fuse = |source: &str| Mount {
        type_: "fuse3.some-overlay".into(),
        source: source.into(),
        options: vec!["lowerdir=/a:/b".into(), "ro".into()],
        ..Mount::default()
    };
    run.bundle("c", &["sleep", "1000"], |_| {})?;
    for source in ["/nowhere", &image.display().to_string()] {
        run.create_with(CreateTaskRequest { rootfs: vec![fuse(source)], ..run.request("c") }).await;
    }
    run.start_process("c", "").await;
    run.note(&format!("the program was asked: {:?}", fs::read_to_string(asked)));
    run.exec_whole("c", "e", &["true"]).await;
    end(run).await
}

async fn empty_options(run: &Run) -> Outcome {
    // The engine's usual folder is everybody's: an id of its own.
    let id = format!("only-{}", run.dir.file_name().unwrap_or_default().to_string_lossy());
    if let Ok(mut trace) = run.trace.lock() {
        trace.hide(&id, "only");
    }
    run.bundle(&id, &["sh", "-c", "exit 3"], |_| {})?;
    let request = CreateTaskRequest { options: MessageField::none(), ..run.request(&id) };
    run.create_with(request).await;
    run.start_process(&id, "").await;
    run.wait(&id, "").await;
    run.delete(&id, "").await;
    run.event("/tasks/delete", 1).await
}

async fn criu_options(run: &Run) -> Outcome {
    with_options(run, |options| {
        options.criu_image_path = "/nowhere/image".into();
        options.criu_work_path = "/nowhere/work".into();
    })
    .await?;
    end(run).await
}
