"""Media types and their file name extensions, as data for `extensions`: subtype=extension.

What tcpflow 1.6.1 has a name for is called as it calls it, the others as is usual. Types without a
usual extension, and application/octet-stream, are not there.
"""

APPLICATION = """\
andrew-inset=ez applixware=aw atom+xml=atom atomcat+xml=atomcat atomsvc+xml=atomsvc cbor=cbor
ccxml+xml=ccxml cdmi-capability=cdmia cdmi-container=cdmic cdmi-domain=cdmid cdmi-object=cdmio
cdmi-queue=cdmiq cu-seeme=cu dash+xml=mpd davmount+xml=davmount dicom=dcm dns-message=dns
dssc+der=dssc dssc+xml=xdssc ecmascript=ecma emma+xml=emma epub+zip=epub exi=exi font-tdpfr=pfr
font-woff=woff font-woff2=woff2 geo+json=geojson gzip=gz hta=hta hyperstudio=stk ipfix=ipfix
java-archive=jar java-serialized-object=ser java-vm=class javascript=js json=json jwt=jwt
ld+json=jsonld lost+xml=lostxml mac-binhex40=hqx mac-compactpro=cpt mads+xml=mads
manifest+json=webmanifest marc=mrc marcxml+xml=mrcx mathematica=mb mathml+xml=mathml mbox=mbox
mediaservercontrol+xml=mscml metalink4+xml=meta4 mets+xml=mets mods+xml=mods mp21=mp21 mp4=mp4s
msaccess=mdb msgpack=msgpack msword=doc mxf=mxf ocsp-request=orq ocsp-response=ors oda=oda
oebps-package+xml=opf ogg=ogx onenote=onetoc patch-ops-error+xml=xer pdf=pdf pgp-encrypted=pgp
pgp-keys=key pgp-signature=asc pics-rules=prf pkcs10=p10 pkcs7-mime=p7m pkcs7-signature=p7s pkcs8=p8
pkix-attr-cert=ac pkix-cert=cer pkix-crl=crl pkix-pkipath=pkipath pkixcmp=pki pls+xml=pls
postscript=ps problem+json=json problem+xml=xml prs.cww=cww pskc+xml=pskcxml rdf+xml=rdf
reginfo+xml=rif relax-ng-compact-syntax=rnc resource-lists+xml=rl resource-lists-diff+xml=rld
rls-services+xml=rs rsd+xml=rsd rss+xml=rss rtf=rtf sbml+xml=sbml scvp-cv-request=scq
scvp-cv-response=scs scvp-vp-request=spq scvp-vp-response=spp sdp=sdp set-payment-initiation=setpay
set-registration-initiation=setreg shf+xml=shf smil+xml=smil soap+xml=xml sparql-query=rq
sparql-results+xml=srx sql=sql srgs=gram srgs+xml=grxml sru+xml=sru ssml+xml=ssml tei+xml=teicorpus
thraud+xml=tfi timestamped-data=tsd toml=toml vnd.3gpp.pic-bw-large=plb vnd.3gpp.pic-bw-small=psb
vnd.3gpp.pic-bw-var=pvb vnd.3gpp2.tcap=tcap vnd.3m.post-it-notes=pwn vnd.accpac.simply.aso=aso
vnd.accpac.simply.imp=imp vnd.acucobol=acu vnd.acucorp=atc
vnd.adobe.air-application-installer-package+zip=air vnd.adobe.fxp=fxp vnd.adobe.xdp+xml=xdp
vnd.adobe.xfdf=xfdf vnd.ahead.space=ahead vnd.airzip.filesecure.azf=azf
vnd.airzip.filesecure.azs=azs vnd.amazon.ebook=azw vnd.americandynamics.acc=acc vnd.amiga.ami=ami
vnd.android.package-archive=apk vnd.anser-web-certificate-issue-initiation=cii
vnd.anser-web-funds-transfer-initiation=fti vnd.antix.game-component=atx
vnd.apple.installer+xml=mpkg vnd.apple.mpegurl=m3u8 vnd.aristanetworks.swi=swi vnd.audiograph=aep
vnd.blueice.multipass=mpm vnd.bmi=bmi vnd.businessobjects=rep vnd.chemdraw+xml=cdxml
vnd.chipnuts.karaoke-mmd=mmd vnd.cinderella=cdy vnd.claymore=cla vnd.cloanto.rp9=rp9
vnd.clonk.c4group=c4g vnd.cluetrust.cartomobile-config=c11amc
vnd.cluetrust.cartomobile-config-pkg=c11amz vnd.commonspace=csp vnd.contact.cmsg=cdbcmsg
vnd.cosmocaller=cmc vnd.crick.clicker=clkx vnd.crick.clicker.keyboard=clkk
vnd.crick.clicker.palette=clkp vnd.crick.clicker.template=clkt vnd.crick.clicker.wordbank=clkw
vnd.criticaltools.wbs+xml=wbs vnd.ctc-posml=pml vnd.cups-ppd=ppd vnd.curl.car=car
vnd.curl.pcurl=pcurl vnd.data-vision.rdz=rdz vnd.debian.binary-package=deb
vnd.denovo.fcselayout-link=fe_launch vnd.dna=dna vnd.dolby.mlp=mlp vnd.dpgraph=dpg
vnd.dreamfactory=dfac vnd.dvb.ait=ait vnd.dvb.service=svc vnd.dynageo=geo vnd.ecowin.chart=mag
vnd.enliven=nml vnd.epson.esf=esf vnd.epson.msf=msf vnd.epson.quickanime=qam vnd.epson.salt=slt
vnd.epson.ssf=ssf vnd.eszigno3+xml=es3 vnd.ezpix-album=ez2 vnd.ezpix-package=ez3 vnd.fdf=fdf
vnd.fdsn.mseed=mseed vnd.fdsn.seed=seed vnd.flographit=gph vnd.fluxtime.clip=ftc vnd.framemaker=fm
vnd.frogans.fnc=fnc vnd.frogans.ltf=ltf vnd.fsc.weblaunch=fsc vnd.fujitsu.oasys=oas
vnd.fujitsu.oasys2=oa2 vnd.fujitsu.oasys3=oa3 vnd.fujitsu.oasysgp=fg5 vnd.fujitsu.oasysprs=bh2
vnd.fujixerox.ddd=ddd vnd.fujixerox.docuworks=xdw vnd.fujixerox.docuworks.binder=xbd
vnd.fuzzysheet=fzs vnd.genomatix.tuxedo=txd vnd.geogebra.file=ggb vnd.geogebra.tool=ggt
vnd.geometry-explorer=gex vnd.geonext=gxt vnd.geoplan=g2w vnd.geospace=g3w vnd.gmx=gmx
vnd.google-earth.kml+xml=kml vnd.google-earth.kmz=kmz vnd.grafeq=gqf vnd.groove-account=gac
vnd.groove-help=ghf vnd.groove-identity-message=gim vnd.groove-injector=grv
vnd.groove-tool-message=gtm vnd.groove-tool-template=tpl vnd.groove-vcard=vcg vnd.hal+xml=hal
vnd.handheld-entertainment+xml=zmm vnd.hbci=hbci vnd.hhe.lesson-player=les vnd.hp-hpgl=hpgl
vnd.hp-hpid=hpid vnd.hp-hps=hps vnd.hp-jlyt=jlt vnd.hp-pcl=pcl vnd.hp-pclxl=pclxl
vnd.hydrostatix.sof-data=sfd-hdstx vnd.hzn-3d-crossword=x3d vnd.ibm.minipay=mpy vnd.ibm.modcap=afp
vnd.ibm.rights-management=irm vnd.ibm.secure-container=sc vnd.iccprofile=icc vnd.igloader=igl
vnd.immervision-ivp=ivp vnd.immervision-ivu=ivu vnd.insors.igm=igm vnd.intercon.formnet=xpw
vnd.intergeo=i2g vnd.intu.qbo=qbo vnd.intu.qfx=qfx vnd.ipunplugged.rcprofile=rcprofile
vnd.irepository.package+xml=irp vnd.is-xpr=xpr vnd.isac.fcs=fcs vnd.jam=jam
vnd.jcp.javame.midlet-rms=rms vnd.jisp=jisp vnd.joost.joda-archive=joda vnd.kahootz=ktz
vnd.kde.karbon=karbon vnd.kde.kchart=chrt vnd.kde.kformula=kfo vnd.kde.kivio=flw vnd.kde.kontour=kon
vnd.kde.kpresenter=kpr vnd.kde.kspread=ksp vnd.kde.kword=kwd vnd.kenameaapp=htke
vnd.kidspiration=kia vnd.kinar=knp vnd.koan=skp vnd.kodak-descriptor=sse vnd.las.las+xml=lasxml
vnd.llamagraphics.life-balance.desktop=lbd vnd.llamagraphics.life-balance.exchange+xml=lbe
vnd.lotus-1-2-3=123 vnd.lotus-approach=apr vnd.lotus-freelance=pre vnd.lotus-notes=nsf
vnd.lotus-organizer=org vnd.lotus-screencam=scm vnd.lotus-wordpro=lwp vnd.macports.portpkg=portpkg
vnd.mcd=mcd vnd.medcalcdata=mc1 vnd.mediastation.cdkey=cdkey vnd.mfer=mwf vnd.mfmp=mfm
vnd.micrografx.flo=flo vnd.micrografx.igx=igx vnd.mif=mif vnd.mobius.daf=daf vnd.mobius.dis=dis
vnd.mobius.mbk=mbk vnd.mobius.mqy=mqy vnd.mobius.msl=msl vnd.mobius.plc=plc vnd.mobius.txf=txf
vnd.mophun.application=mpn vnd.mophun.certificate=mpc vnd.mozilla.xul+xml=xul vnd.ms-artgalry=cil
vnd.ms-cab-compressed=cab vnd.ms-excel=xls vnd.ms-excel.addin.macroenabled.12=xlam
vnd.ms-excel.sheet.binary.macroenabled.12=xlsb vnd.ms-excel.sheet.macroenabled.12=xlsm
vnd.ms-excel.template.macroenabled.12=xltm vnd.ms-fontobject=eot vnd.ms-htmlhelp=chm vnd.ms-ims=ims
vnd.ms-lrm=lrm vnd.ms-officetheme=thmx vnd.ms-outlook=msg vnd.ms-pki.seccat=cat vnd.ms-pki.stl=stl
vnd.ms-powerpoint=ppt vnd.ms-powerpoint.addin.macroenabled.12=ppam
vnd.ms-powerpoint.presentation.macroenabled.12=pptm vnd.ms-powerpoint.slide.macroenabled.12=sldm
vnd.ms-powerpoint.slideshow.macroenabled.12=ppsm vnd.ms-powerpoint.template.macroenabled.12=potm
vnd.ms-project=mpp vnd.ms-word.document.macroenabled.12=docm
vnd.ms-word.template.macroenabled.12=dotm vnd.ms-works=wps vnd.ms-wpl=wpl vnd.ms-xpsdocument=xps
vnd.mseq=mseq vnd.musician=mus vnd.muvee.style=msty vnd.neurolanguage.nlu=nlu
vnd.noblenet-directory=nnd vnd.noblenet-sealer=nns vnd.noblenet-web=nnw vnd.nokia.n-gage.data=ngdat
vnd.nokia.n-gage.symbian.install=n-gage vnd.nokia.radio-preset=rpst vnd.nokia.radio-presets=rpss
vnd.novadigm.edm=edm vnd.novadigm.edx=edx vnd.novadigm.ext=ext vnd.oasis.opendocument.chart=odc
vnd.oasis.opendocument.chart-template=otc vnd.oasis.opendocument.database=odb
vnd.oasis.opendocument.formula=odf vnd.oasis.opendocument.formula-template=odft
vnd.oasis.opendocument.graphics=odg vnd.oasis.opendocument.graphics-template=otg
vnd.oasis.opendocument.image=odi vnd.oasis.opendocument.image-template=oti
vnd.oasis.opendocument.presentation=odp vnd.oasis.opendocument.presentation-template=otp
vnd.oasis.opendocument.spreadsheet=ods vnd.oasis.opendocument.spreadsheet-template=ots
vnd.oasis.opendocument.text=odt vnd.oasis.opendocument.text-master=odm
vnd.oasis.opendocument.text-template=ott vnd.oasis.opendocument.text-web=oth vnd.olpc-sugar=xo
vnd.oma.dd2+xml=dd2 vnd.openofficeorg.extension=oxt
vnd.openxmlformats-officedocument.presentationml.presentation=pptx
vnd.openxmlformats-officedocument.presentationml.slide=sldx
vnd.openxmlformats-officedocument.presentationml.slideshow=ppsx
vnd.openxmlformats-officedocument.presentationml.template=potx
vnd.openxmlformats-officedocument.spreadsheetml.sheet=xlsx
vnd.openxmlformats-officedocument.spreadsheetml.template=xltx
vnd.openxmlformats-officedocument.wordprocessingml.document=docx
vnd.openxmlformats-officedocument.wordprocessingml.template=dotx vnd.osgeo.mapguide.package=mgp
vnd.osgi.dp=dp vnd.palm=pdb vnd.pawaafile=paw vnd.pg.format=str vnd.pg.osasli=ei6 vnd.picsel=efif
vnd.pmi.widget=wg vnd.pocketlearn=plf vnd.powerbuilder6=pbd vnd.previewsystems.box=box
vnd.proteus.magazine=mgz vnd.publishare-delta-tree=qps vnd.pvi.ptid1=ptid vnd.quark.quarkxpress=qxd
vnd.rar=rar vnd.realvnc.bed=bed vnd.recordare.musicxml=mxl vnd.recordare.musicxml+xml=musicxml
vnd.rig.cryptonote=cryptonote vnd.rim.cod=cod vnd.rn-realmedia=rm vnd.route66.link66+xml=link66
vnd.sailingtracker.track=st vnd.seemail=see vnd.sema=sema vnd.semd=semd vnd.semf=semf
vnd.shana.informed.formdata=ifm vnd.shana.informed.formtemplate=itp
vnd.shana.informed.interchange=iif vnd.shana.informed.package=ipk vnd.simtech-mindmapper=twd
vnd.smaf=mmf vnd.smart.teacher=teacher vnd.solent.sdkm+xml=sdkm vnd.spotfire.dxp=dxp
vnd.spotfire.sfs=sfs vnd.sqlite3=sqlite3 vnd.stardivision.calc=sdc vnd.stardivision.draw=sda
vnd.stardivision.impress=sdd vnd.stardivision.math=smf vnd.stardivision.writer=sdw
vnd.stardivision.writer-global=sgl vnd.stepmania.stepchart=sm vnd.sun.xml.calc=sxc
vnd.sun.xml.calc.template=stc vnd.sun.xml.draw=sxd vnd.sun.xml.draw.template=std
vnd.sun.xml.impress=sxi vnd.sun.xml.impress.template=sti vnd.sun.xml.math=sxm vnd.sun.xml.writer=sxw
vnd.sun.xml.writer.global=sxg vnd.sun.xml.writer.template=stw vnd.sus-calendar=sus vnd.svd=svd
vnd.symbian.install=sis vnd.syncml+xml=xsm vnd.syncml.dm+wbxml=bdm vnd.syncml.dm+xml=xdm
vnd.tao.intent-module-archive=tao vnd.tcpdump.pcap=pcap vnd.tmobile-livetv=tmo vnd.trid.tpt=tpt
vnd.triscape.mxs=mxs vnd.trueapp=tra vnd.ufdl=ufdl vnd.uiq.theme=utz vnd.umajin=umj
vnd.unity=unityweb vnd.uoml+xml=uoml vnd.vcx=vcx vnd.visio=vsd vnd.visionary=vis vnd.vsf=vsf
vnd.wap.wbxml=wbxml vnd.wap.wmlc=wmlc vnd.wap.wmlscriptc=wmlsc vnd.webturbo=wtb
vnd.wolfram.player=nbp vnd.wordperfect=wpd vnd.wqd=wqd vnd.wt.stf=stf vnd.xara=xar vnd.xfdl=xfdl
vnd.yamaha.hv-dic=hvd vnd.yamaha.hv-script=hvs vnd.yamaha.hv-voice=hvp
vnd.yamaha.openscoreformat=osf vnd.yamaha.openscoreformat.osfpvg+xml=osfpvg
vnd.yamaha.smaf-audio=saf vnd.yamaha.smaf-phrase=spf vnd.yellowriver-custom-menu=cmp vnd.zul=zir
vnd.zzazz.deck+xml=zaz voicexml+xml=vxml wasm=wasm widget=wgt winhlp=hlp wsdl+xml=wsdl
wspolicy+xml=wspolicy x-7z-compressed=7z x-abiword=abw x-ace-compressed=ace x-apple-diskimage=dmg
x-authorware-map=aam x-authorware-seg=aas x-bcpio=bcpio x-bittorrent=torrent x-bzip=bz x-bzip2=bz2
x-cdlink=vcd x-chat=chat x-chess-pgn=pgn x-compress=z x-cpio=cpio x-csh=csh x-debian-package=deb
x-director=dir x-doom=wad x-dosexec=exe x-dtbncx+xml=ncx x-dtbook+xml=dtb x-dtbresource+xml=res
x-dvi=dvi x-executable=exe x-font-bdf=bdf x-font-ghostscript=gsf x-font-linux-psf=psf x-font-otf=otf
x-font-pcf=pcf x-font-snf=snf x-font-ttf=ttf x-font-type1=afm x-font-woff=woff x-futuresplash=spl
x-gnumeric=gnumeric x-gtar=gtar x-gzip=gz x-hdf=hdf x-iso9660-image=iso x-java-archive=jar
x-java-jnlp-file=jnlp x-javascript=js x-json=json x-latex=latex x-lzma=lzma x-mobipocket-ebook=mobi
x-mpegurl=m3u8 x-ms-application=application x-ms-wmd=wmd x-ms-wmz=wmz x-ms-xbap=xbap x-msaccess=mdb
x-msbinder=obd x-mscardfile=crd x-msclip=clp x-msdos-program=exe x-msdownload=exe x-msi=msi
x-msmediaview=mvb x-msmetafile=wmf x-msmoney=mny x-mspublisher=pub x-msschedule=scd x-msterminal=trm
x-mswrite=wri x-netcdf=nc x-ns-proxy-autoconfig=pac x-pdf=pdf x-perl=pl x-pkcs12=p12
x-pkcs7-certificates=p7b x-pkcs7-certreqresp=p7r x-protobuf=pb x-python-code=pyc
x-rar-compressed=rar x-redhat-package-manager=rpm x-rpm=rpm x-sh=sh x-shar=shar
x-shockwave-flash=swf x-silverlight-app=xap x-sqlite3=sqlite3 x-stuffit=sit x-stuffitx=sitx
x-sv4cpio=sv4cpio x-sv4crc=sv4crc x-tar=tar x-tcl=tcl x-tex=tex x-tex-tfm=tfm x-texinfo=texi
x-ustar=ustar x-wais-source=src x-x509-ca-cert=crt x-xfig=fig x-xpinstall=xpi x-xz=xz x-yaml=yaml
x-zip-compressed=zip xcap-diff+xml=xdf xenc+xml=xenc xhtml+xml=xhtml xml=xml xml-dtd=dtd xop+xml=xop
xslt+xml=xslt xspf+xml=xspf xv+xml=xvml yaml=yaml yang=yang yin+xml=yin zip=zip zstd=zst
"""

AUDIO = """\
3gpp=3gp aac=aac ac3=ac3 adpcm=adp aiff=aif amr=amr basic=au flac=flac midi=mid mp3=mp3 mp4=mp4a
mp4a-latm=m4a mpeg=mpga ogg=ogg opus=opus vnd.dece.audio=uvva vnd.digital-winds=eol vnd.dra=dra
vnd.dts=dts vnd.dts.hd=dtshd vnd.lucent.voice=lvp vnd.ms-playready.media.pya=pya
vnd.nuera.ecelp4800=ecelp4800 vnd.nuera.ecelp7470=ecelp7470 vnd.nuera.ecelp9600=ecelp9600
vnd.rip=rip wav=wav wave=wav webm=weba x-aac=aac x-aiff=aiff x-flac=flac x-m4a=m4a x-mpegurl=m3u
x-ms-wax=wax x-ms-wma=wma x-pn-realaudio=ram x-pn-realaudio-plugin=rmp x-wav=wav
"""

CHEMICAL = """\
x-cdx=cdx x-cif=cif x-cmdf=cmdf x-cml=cml x-csml=csml x-xyz=xyz
"""

FONT = """\
collection=ttc otf=otf sfnt=ttf ttf=ttf woff=woff woff2=woff2
"""

IMAGE = """\
apng=apng avif=avif bmp=bmp cgm=cgm g3fax=g3 gif=gif heic=heic heif=heif ief=ief jp2=jp2 jpeg=jpg
jpg=jpg jxl=jxl ktx=ktx pict=pict pjpeg=jpg png=png prs.btif=btif svg+xml=svg tiff=tiff
vnd.adobe.photoshop=psd vnd.dece.graphic=uvi vnd.djvu=djvu vnd.dvb.subtitle=sub vnd.dwg=dwg
vnd.dxf=dxf vnd.fastbidsheet=fbs vnd.fpx=fpx vnd.fst=fst vnd.fujixerox.edmics-mmr=mmr
vnd.fujixerox.edmics-rlc=rlc vnd.microsoft.icon=ico vnd.ms-modi=mdi vnd.net-fpx=npx
vnd.wap.wbmp=wbmp vnd.xiff=xif webp=webp x-cmu-raster=ras x-cmx=cmx x-freehand=fh x-icon=ico
x-ms-bmp=bmp x-pcx=pcx x-pict=pict x-png=png x-portable-anymap=pnm x-portable-bitmap=pbm
x-portable-graymap=pgm x-portable-pixmap=ppm x-rgb=rgb x-xbitmap=xbm x-xpixmap=xpm x-xwindowdump=xwd
"""

MESSAGE = """\
http=http rfc822=eml
"""

MODEL = """\
gltf+json=gltf gltf-binary=glb iges=iges mesh=mesh stl=stl vnd.collada+xml=dae vnd.dwf=dwf
vnd.gdl=gdl vnd.gtw=gtw vnd.mts=mts vnd.vtu=vtu vrml=vrml
"""

TEXT = """\
cache-manifest=manifest calendar=ics css=css csv=csv ecmascript=ecma event-stream=txt html=html
javascript=js json=json markdown=md n3=n3 plain=txt prs.lines.tag=dsc richtext=rtx rtf=rtf sgml=sgml
tab-separated-values=tsv troff=roff turtle=ttl uri-list=urls vbscript=vbs vcard=vcf vnd.curl=curl
vnd.curl.dcurl=dcurl vnd.curl.mcurl=mcurl vnd.curl.scurl=scurl vnd.fly=fly vnd.fmi.flexstor=flx
vnd.graphviz=gv vnd.in3d.3dml=3dml vnd.in3d.spot=spot vnd.sun.j2me.app-descriptor=jad
vnd.wap.wml=wml vnd.wap.wmlscript=wmls vtt=vtt x-asm=asm x-c=c x-component=htc x-fortran=f
x-java-source=java x-javascript=js x-json=json x-pascal=pas x-patch=diff x-python=py x-setext=etx
x-sh=sh x-uuencode=uu x-vcalendar=vcs x-vcard=vcf xml=xml yaml=yaml
"""

VIDEO = """\
3gpp=3gp 3gpp2=3g2 h261=h261 h263=h263 h264=h264 jpeg=jpgv jpm=jpm mj2=mj2 mp2t=ts mp4=m4v mpeg=mpg
ogg=ogv quicktime=mov vnd.dece.hd=uvvh vnd.dece.mobile=uvvm vnd.dece.pd=uvvp vnd.dece.sd=uvvs
vnd.dece.video=uvvv vnd.fvt=fvt vnd.mpegurl=m4u vnd.ms-playready.media.pyv=pyv vnd.uvvu.mp4=uvvu
vnd.vivo=viv webm=webm x-f4v=f4v x-fli=fli x-flv=flv x-m4v=m4v x-matroska=mkv x-ms-asf=asf
x-ms-wm=wm x-ms-wmv=wmv x-ms-wmx=wmx x-ms-wvx=wvx x-msvideo=avi x-sgi-movie=movie
"""

X_CONFERENCE = """\
x-cooltalk=ice
"""

MEDIA_TYPES = {
    "application": APPLICATION,
    "audio": AUDIO,
    "chemical": CHEMICAL,
    "font": FONT,
    "image": IMAGE,
    "message": MESSAGE,
    "model": MODEL,
    "text": TEXT,
    "video": VIDEO,
    "x-conference": X_CONFERENCE,
}
